/**
 * Takes part in one negotiation until it ends: says the opening word, composes the text that all shall
 * sign (where that is one's turn), reviews what others composed, and signs one text, never two. It reads
 * everything that it needs from the controller at each look, so it may be killed and started anywhere.
 */
import { canonicalText } from '../api/canonical.ts';
import { acceptedText, contributionText, parseContributionText } from '../api/contribution.ts';
import type { ContributionBody, ContributionMeta } from '../api/contribution.ts';
import { title } from '../api/fields.ts';
import type { VerifiedConsensus } from '../api/negotiation.ts';
import { hashText } from '../api/signed.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { ControllerClient } from './controller.ts';
import { lastWord, readMeeting, type Meeting, type Statement } from './meeting.ts';

/** Longest pause between two attempts while a controller does not answer. */
const BACKOFF_MS_MAX = 30_000;
/** What passes by itself before is nobody's concern. */
const FAILURES_TOLD = 3;
/**
 * Words of ours after which an unattended run says no more why it does not sign: a hostile owner who
 * composes one bad text after the other shall not use up what a controller takes from us.
 */
const WORDS_MAX = 16;
/** How long a composed text may be signed: long enough for an operator who sleeps over it. */
const TEXT_LIFETIME_MS = 7 * 86_400_000;

/** What a review says while the operator has not decided yet: neither signed nor refused. */
export const UNDECIDED = Symbol('undecided');

/**
 * Marks of a word besides its data: with others of these it is another word, to be said again (rounds.ts, the
 * invitations of a founding, and a change that a node tells of).
 */
const MARKS = [
  'answers',
  'keeps',
  'proposes',
  'without',
  'invitations',
  'change_negotiation_id',
] as const;

/** Who takes part, and with what. */
export interface Party {
  readonly client: ControllerClient;
  readonly primitives: Primitives;
  readonly peerId: string;
  /** Clock, ms since 1970. */
  readonly now: () => number;
  /** Waits; rejects when the party shall stop. */
  readonly wait: (delayMs: number) => Promise<void>;
  /** Pause between two looks at a negotiation. */
  readonly pollMs: number;
  /** Told why something fails again and again, and null once it went through. */
  readonly troubled?: (trouble: PanoramixError | null) => void;
}

/** A text before the engine adds what every text holds (`accept`, `negotiation_id`, times…). */
export interface Draft {
  readonly data: object;
  readonly info: object;
  /** What goes into `meta` besides. */
  readonly meta?: Partial<ContributionMeta>;
}

/** One negotiation from the view of one party. */
export interface Agreement {
  readonly negotiationId: string;
  /** The first word, `accept` false; null while something must be seen first. */
  opening(meeting: Meeting): Draft | null;
  /** The text that all `signers` shall sign; null while it is not yet, or never, one's turn. */
  compose(meeting: Meeting): (Draft & { readonly signers: readonly string[] }) | null;
  /** Null where a text that another composed may be signed, else the reason against it. */
  review(statement: Statement, meeting: Meeting): string | typeof UNDECIDED | null;
  /** The text already signed in this negotiation, from disk: no other is ever signed. */
  readonly signed: string | null;
  /** Must be on disk when it returns: called before a text is signed for good. */
  remember(text: string): void;
  /** How long a text of ours may be signed; default: as long as operators may need. */
  readonly textLifetimeMs?: number;
  /**
   * Called after each look, before anything is said: may read what `opening` and `review` go by. What it throws
   * ends our part.
   */
  progress?(meeting: Meeting): void | Promise<void>;
  /** What a refusal does: an operator's run stops, an unattended one waits for a better text. */
  readonly onRefusal: 'stop' | 'wait';
  /** Whose composed texts are looked at; default everybody's. */
  heeds?(signer: string, meeting: Meeting): boolean;
  /** Told of each word that the controller has taken, with its contribution number. */
  sent?(contribution: number, body: ContributionBody): void;
  /** Ends the pause between two looks early, where somebody has decided meanwhile. */
  awake?(): Promise<void>;
}

/** How a negotiation ended. */
export interface Agreed {
  readonly consensus: VerifiedConsensus;
  readonly meeting: Meeting;
}

/**
 * Runs one negotiation to its end.
 * @throws PanoramixError `agreement-refused` (who and why), `negotiation-unknown`, or the controller's
 *   permanent reason; temporary ones are retried with growing pauses
 */
export async function agree(party: Party, agreement: Agreement): Promise<Agreed> {
  const turn: Turn = { signed: agreement.signed, refused: new Set() };
  for (;;) {
    const meeting = await retrying(party, () =>
      readMeeting(party.client, party.primitives, agreement.negotiationId),
    );
    await agreement.progress?.(meeting);
    if (meeting.consensus) return { consensus: meeting.consensus, meeting };
    const moved = await retrying(party, () => move(party, agreement, meeting, turn)).catch(
      (error: unknown) => {
        if (isOvertaken(error, agreement)) return false;
        throw error;
      },
    );
    if (moved) continue;
    const pause = party.wait(party.pollMs);
    await (agreement.awake ? Promise.race([pause, agreement.awake()]) : pause);
  }
}

/** The others were faster: the next look shows the end. */
function isOvertaken(error: unknown, agreement: Agreement): boolean {
  const { code } = asPanoramixError(error);
  return code === 'negotiation-done' || (code === 'not-a-signer' && agreement.onRefusal === 'wait');
}

interface Turn {
  signed: string | null;
  /** Texts that were refused, so that each is refused once. */
  readonly refused: Set<string>;
}

/** One step at most; whether something was said, so that it is worth looking again at once. */
async function move(
  party: Party,
  agreement: Agreement,
  meeting: Meeting,
  turn: Turn,
): Promise<boolean> {
  const own = lastWord(meeting, party.peerId);
  if (turn.signed !== null) {
    throwIfRefusedByOthers(party, agreement, meeting, turn.signed);
    if (own?.text === turn.signed) return false;
    await contribute(party, agreement, turn.signed);
    return true;
  }
  const opening = agreement.opening(meeting);
  if (!opening) return false;
  if (!own || (!says(own, opening) && refusalOf(own) === null)) {
    await say(party, agreement, meeting, opening, { accept: false });
    return true;
  }
  const acceptable = chooseText(party, agreement, meeting);
  if (acceptable !== null) return signFor(party, agreement, turn, acceptable);
  const refusal = await refuse(party, agreement, meeting, turn, opening);
  if (refusal) return true;
  const composed = agreement.compose(meeting);
  if (!composed) return false;
  const proposal = bodyOf(party, agreement, meeting, composed, { accept: true });
  const text = acceptedText(party.primitives, proposal, composed.signers);
  return signFor(party, agreement, turn, text);
}

/** Remembers first, then contributes: after a crash between the two the same text is sent. */
async function signFor(
  party: Party,
  agreement: Agreement,
  turn: Turn,
  text: string,
): Promise<boolean> {
  agreement.remember(text);
  turn.signed = text;
  await contribute(party, agreement, text);
  return true;
}

/**
 * Among the texts of others that pass the review, the one with most signatures; ties by text. A text
 * once refused may pass later, when more has been seen.
 */
function chooseText(party: Party, agreement: Agreement, meeting: Meeting): string | null {
  const backers = new Map<string, number>();
  for (const said of offered(party, agreement, meeting)) {
    if (!isTimely(party, said.body) || agreement.review(said, meeting) !== null) continue;
    backers.set(said.text, (backers.get(said.text) ?? 0) + 1);
  }
  const best = [...backers].toSorted((left, right) =>
    right[1] === left[1] ? (left[0] < right[0] ? -1 : 1) : right[1] - left[1],
  )[0];
  return best?.[0] ?? null;
}

/** Says once, in signed words, why a text is not signed: its composer reads it and can tell his operator. */
async function refuse(
  party: Party,
  agreement: Agreement,
  meeting: Meeting,
  turn: Turn,
  opening: Draft,
): Promise<boolean> {
  const said = offered(party, agreement, meeting).find(
    (one) =>
      !turn.refused.has(one.text) &&
      !(isTimely(party, one.body) && agreement.review(one, meeting) === UNDECIDED),
  );
  if (!said) return false;
  const words = meeting.statements.filter(({ signer }) => signer === party.peerId).length;
  if (agreement.onRefusal === 'wait' && words >= WORDS_MAX) return false;
  const reason = isTimely(party, said.body)
    ? String(agreement.review(said, meeting) ?? 'unexpected')
    : 'text-expired';
  turn.refused.add(said.text);
  const textHash = hashText(party.primitives, said.text);
  const own = lastWord(meeting, party.peerId);
  // After a restart our refusal may stand there already.
  if (own === null || refusalOf(own)?.text_hash !== textHash) {
    await say(party, agreement, meeting, opening, {
      accept: false,
      refused: { reason, text_hash: textHash },
    });
  }
  if (agreement.onRefusal === 'wait') return true;
  throw new PanoramixError(
    'agreement-refused',
    `we do not sign what ${said.signer.slice(0, 8)}… composed: ${reason}`,
  );
}

function throwIfRefusedByOthers(
  party: Party,
  agreement: Agreement,
  meeting: Meeting,
  signed: string,
): void {
  if (agreement.onRefusal === 'wait') return;
  const signers = parseContributionText(signed)?.meta.signers ?? [];
  for (const said of meeting.statements) {
    const refusal = said.latest && signers.includes(said.signer) ? refusalOf(said) : null;
    if (refusal?.text_hash !== hashText(party.primitives, signed)) continue;
    // A stranger's words, on their way to an operator's terminal.
    const reason = title.safeParse(refusal.reason);
    throw new PanoramixError(
      'agreement-refused',
      `${said.signer.slice(0, 8)}… does not sign: ${reason.success ? reason.data : 'no readable reason'}`,
    );
  }
}

/** `meta.refused`: which text its signer does not sign, and why. */
function refusalOf(said: Statement): { reason?: unknown; text_hash?: unknown } | null {
  const refused = said.body.meta['refused'];
  return typeof refused === 'object' && refused !== null ? refused : null;
}

function offered(party: Party, agreement: Agreement, meeting: Meeting): Statement[] {
  return meeting.statements.filter(
    (said) =>
      said.latest &&
      said.accepts &&
      said.signer !== party.peerId &&
      (agreement.heeds?.(said.signer, meeting) ?? true),
  );
}

function isTimely(party: Party, body: ContributionBody): boolean {
  const { expires } = body.meta;
  return expires !== undefined && party.now() < Date.parse(expires);
}

async function say(
  party: Party,
  agreement: Agreement,
  meeting: Meeting,
  draft: Draft,
  meta: { readonly accept: boolean } & Partial<ContributionMeta>,
): Promise<void> {
  const body = bodyOf(party, agreement, meeting, draft, meta);
  await contribute(party, agreement, contributionText(body));
}

async function contribute(party: Party, agreement: Agreement, text: string): Promise<void> {
  const { id } = await party.client.contribute(agreement.negotiationId, text);
  const body = parseContributionText(text);
  if (body) agreement.sent?.(id, body);
}

/** A text of ours in a negotiation: what is drafted, and what every text holds. */
export function bodyOf(
  party: Party,
  { negotiationId, textLifetimeMs }: Pick<Agreement, 'negotiationId' | 'textLifetimeMs'>,
  meeting: Meeting,
  draft: Draft,
  meta: { readonly accept: boolean } & Partial<ContributionMeta>,
): ContributionBody {
  const nowMs = party.now();
  return {
    data: draft.data,
    info: draft.info,
    meta: {
      signers: [],
      ...draft.meta,
      ...meta,
      negotiation_id: negotiationId,
      round: 1 + meeting.statements.filter((said) => said.signer === party.peerId).length,
      time: new Date(nowMs).toISOString(),
      expires: new Date(nowMs + (textLifetimeMs ?? TEXT_LIFETIME_MS)).toISOString(),
    },
  };
}

/** Whether a statement already says what a draft would: then it is not said again after a restart. */
function says(said: Statement, draft: Draft): boolean {
  if (canonicalText(said.body.data) !== canonicalText(draft.data)) return false;
  const same = (mark: string): boolean =>
    canonicalText(said.body.meta[mark] ?? null) === canonicalText(draft.meta?.[mark] ?? null);
  return MARKS.every(same);
}

/**
 * Repeats an action on temporary errors, with pauses from `pollMs` doubling to half a minute. A wrong clock is
 * temporary, too, but somebody must hear of it.
 */
export async function retrying<Value>(party: Party, action: () => Promise<Value>): Promise<Value> {
  let failures = 0;
  for (let pauseMs = party.pollMs; ; pauseMs = Math.min(2 * pauseMs, BACKOFF_MS_MAX)) {
    try {
      const value = await action();
      if (failures >= FAILURES_TOLD) party.troubled?.(null);
      return value;
    } catch (error) {
      // What is no answer of a controller, such as a terminal that is gone, does not pass by waiting.
      if (!(error instanceof PanoramixError)) throw error;
      if (!error.temporary || error.code === 'clock-wrong') throw error;
      if (++failures === FAILURES_TOLD) party.troubled?.(error);
      await party.wait(pauseMs);
    }
  }
}
