/**
 * The other owners' part in a change: look at what was composed, check by machine what a machine can check, put
 * it before the operator, and sign, refuse or answer with other values. Whoever signs last applies it.
 */
import { hashText } from '../api/signed.ts';
import { readAbort } from '../client/abort.ts';
import type { Party } from '../client/agree.ts';
import type { Meeting, Statement } from '../client/meeting.ts';
import { PanoramixError } from '../errors.ts';
import { MixnetStateFile, type PendingChange } from '../mixer/mixnet-state.ts';
import { OperatorFile } from '../mixer/operator-file.ts';
import { describeChange } from './change-describe.ts';
import type { ChangeOutcome } from './change-events.ts';
import type { ChangeOptions } from './change-options.ts';
import {
  applyChange,
  askAbout,
  baseOf,
  look,
  partyOfChange,
  proofsOf,
  readGround,
  refuseDomains,
  repeatSigned,
  sayWord,
  signersOf,
  signText,
  type SignedTexts,
} from './change-step.ts';
import { changeDraft, partiesOf, readChange, type ChangeGround } from './change-text.ts';
import { applyWish, type Standing } from './change-wish.ts';
import type { ChangeChanges } from './decisions.ts';

const REASON_LENGTH_MAX = 200;
/** A proposer's node names a negotiation a moment before he has signed there. */
const LOOKS_MAX = 10;

/** Somebody's part in one change. */
export interface Reviewing {
  readonly party: Party;
  readonly options: ChangeOptions;
  readonly file: SignedTexts;
  readonly mixnetId: string;
  readonly negotiationId: string;
  /** What more must hold of what is composed, such as that our own wish stands in it; else why not. */
  readonly alsoRefuse?: (after: Standing) => string | null;
}

/**
 * An owner's answer to a change that another has proposed.
 * @param negotiationId where it is agreed on; without it the one that our node has heard of
 * @throws PanoramixError `config-invalid` (there is none, or more than one), `consensus-not-last` where another
 *   change came first, `agreement-refused`, `domain-unproved`, `agreement-aborted`
 */
export async function reviewChange(
  options: ChangeOptions,
  negotiationId?: string,
): Promise<ChangeOutcome> {
  const state = new MixnetStateFile(options.statePath).read();
  if (!state?.mixnet_id) {
    throw new PanoramixError('config-invalid', `${options.statePath} names no mixnet`);
  }
  const party = partyOfChange(options);
  const { mixnet_id: mixnetId, pending_changes: pending = [] } = state;
  const id = negotiationId ?? onlyOne(await stillPending(party, mixnetId, pending));
  const reviewing = {
    party,
    options,
    file: new OperatorFile(options.statePath),
    mixnetId,
    negotiationId: id,
  };
  for (let looks = 1; looks <= LOOKS_MAX; looks++) {
    const answered = await answerChange(reviewing);
    if (answered !== 'nothing-yet') return answered;
    await party.wait(party.pollMs);
  }
  throw new PanoramixError(
    'agreement-foreign',
    'nobody who owns the mixnet proposes anything there',
  );
}

/** Refuses a change without looking at it any further: said aloud and signed. */
export async function refuseChange(
  options: ChangeOptions,
  reason: string,
  negotiationId?: string,
): Promise<void> {
  const decisions = {
    ...options.decisions,
    change: () => Promise.resolve({ answer: 'abort' as const, reason }),
  };
  try {
    await reviewChange({ ...options, decisions }, negotiationId);
  } catch (thrown) {
    if (thrown instanceof PanoramixError && thrown.code === 'agreement-aborted') return;
    throw thrown;
  }
}

/**
 * One look at a change and our answer to it, or the end of it where all is said.
 * @returns `nothing-yet` where nobody has composed anything that could be signed
 */
export async function answerChange(reviewing: Reviewing): Promise<ChangeOutcome | 'nothing-yet'> {
  const { party, file, mixnetId, negotiationId } = reviewing;
  const meeting = await look(party, negotiationId);
  if (meeting.consensus) return await conclude(reviewing, meeting.consensus);
  const ground = await readGround(party, mixnetId);
  const composed = composedIn(meeting, ground);
  if (!composed) {
    throwIfStopped(meeting, ground);
    return 'nothing-yet';
  }
  const after = await standingOf(party, meeting, ground, composed);
  if (!(await repeatSigned(party, file, meeting))) {
    await decide(reviewing, meeting, ground, composed, after);
  }
  const then = await look(party, negotiationId);
  if (then.consensus) return await conclude(reviewing, then.consensus);
  const signed = signersOf(then, composed.text, ground.standing, after).length;
  const { needed } = partiesOf(ground.standing, after);
  reviewing.options.progress?.({ event: 'change-signed', signed, needed });
  return { outcome: 'signed', signed, needed };
}

/**
 * The node forgets what another change has made void with its next snapshot, and hears of it anew where its
 * proposer's node still names it: until then it is passed over.
 */
async function stillPending(
  party: Party,
  mixnetId: string,
  pending: readonly PendingChange[],
): Promise<PendingChange[]> {
  const { logHead, lastConsensusId } = await readGround(party, mixnetId);
  const onHead = pending.filter((change) => change.log_head === logHead);
  const open = await Promise.all(
    onHead.map(async (change) => await isOpen(party, change.negotiation_id, lastConsensusId)),
  );
  return onHead.filter((_, i) => open[i]);
}

async function isOpen(party: Party, id: string, lastConsensusId: string): Promise<boolean> {
  try {
    const { consensus } = await look(party, id);
    return consensus === null || baseOf(consensus) === lastConsensusId;
  } catch (thrown) {
    // What does not read is left to the operator, who is told its id.
    if (thrown instanceof PanoramixError) return true;
    throw thrown;
  }
}

function onlyOne(pending: readonly PendingChange[]): string {
  const [first, ...others] = pending;
  if (first && others.length === 0) return first.negotiation_id;
  throw new PanoramixError(
    'config-invalid',
    first
      ? `several changes are proposed: name one of ${pending.map((one) => one.negotiation_id).join(', ')}`
      : 'our node has heard of no change: name its negotiation',
  );
}

/** Of the texts that owners have signed, or who is to be one, the one with most signatures; the first of several. */
function composedIn(meeting: Meeting, ground: ChangeGround): Statement | null {
  const texts = meeting.statements.filter((said) => {
    if (!said.latest || !said.accepts) return false;
    return ground.standing.owners.includes(said.signer);
  });
  const backers = (of: Statement): number => texts.filter(({ text }) => text === of.text).length;
  return (
    texts.toSorted((left, right) => backers(right) - backers(left) || left.id - right.id)[0] ?? null
  );
}

function throwIfStopped(meeting: Meeting, ground: ChangeGround): void {
  const aborted = readAbort(meeting, (signer) => ground.standing.owners.includes(signer));
  if (!aborted) return;
  const { by, reason } = aborted;
  throw new PanoramixError('agreement-aborted', `${by.slice(0, 8)}… has taken it back: ${reason}`);
}

async function standingOf(
  party: Party,
  meeting: Meeting,
  ground: ChangeGround,
  composed: Statement,
): Promise<Standing> {
  const read = readChange(ground, composed.body);
  if (read.ok) return read.standing;
  const why = `${read.reason}: ${read.detail}`;
  if (read.reason === 'consensus-not-last') throw new PanoramixError(read.reason, why);
  await sayRefusal(party, meeting, ground, composed, read.reason);
  throw new PanoramixError('agreement-refused', why);
}

/** Asks the operator until his answer can be said; signs, or says why not and throws. */
async function decide(
  reviewing: Reviewing,
  meeting: Meeting,
  ground: ChangeGround,
  composed: Statement,
  after: Standing,
): Promise<void> {
  const { party, options, file, negotiationId } = reviewing;
  options.progress?.({
    event: 'change-proposed',
    negotiationId,
    proposer: composed.signer,
    lines: describeChange(ground.standing, after),
  });
  const refuse = async (code: 'agreement-refused' | 'domain-unproved', why: string) => {
    await sayRefusal(party, meeting, ground, composed, why);
    throw new PanoramixError(code, why);
  };
  const unasked = reviewing.alsoRefuse?.(after) ?? null;
  if (unasked !== null) await refuse('agreement-refused', unasked);
  const domains = await proofsOf(options, ground.standing, after);
  for (let unusable: string | null = null; ;) {
    const said = { statement: composed, domains };
    const answer = await askAbout(options, ground, after, said, { unusable });
    if (answer.answer === 'abort') {
      await sayRefusal(party, meeting, ground, composed, answer.reason);
      throw new PanoramixError('agreement-aborted', `we have refused it: ${answer.reason}`);
    }
    if (answer.answer === 'counter') {
      const countered = counterOf(ground, after, answer.changes);
      if (typeof countered !== 'string') {
        await sayRefusal(party, meeting, ground, composed, 'other values are proposed', countered);
        throw new PanoramixError('agreement-refused', 'we have proposed other values');
      }
      unusable = countered;
      continue;
    }
    const unproved = refuseDomains(domains, answer.confirmedDomains);
    if (unproved !== null) await refuse('domain-unproved', unproved);
    break;
  }
  // A person may have thought about it for days.
  const now = await readGround(party, ground.mixnetId);
  if (now.logHead !== ground.logHead) {
    throw new PanoramixError('consensus-not-last', 'another change has come first meanwhile');
  }
  await signText(party, file, negotiationId, composed.text);
}

/** Says, signed, which text we do not sign and why; with other values where we have some. */
async function sayRefusal(
  party: Party,
  meeting: Meeting,
  ground: ChangeGround,
  composed: Statement,
  reason: string,
  instead: Standing | null = null,
): Promise<void> {
  const draft = changeDraft(ground, instead ?? ground.standing);
  await sayWord(party, meeting, draft, {
    refused: {
      reason: reason.slice(0, REASON_LENGTH_MAX),
      text_hash: hashText(party.primitives, composed.text),
    },
  });
}

/** The proposed entry with other values, or why it cannot stand so. */
function counterOf(
  ground: ChangeGround,
  after: Standing,
  changes: ChangeChanges,
): Standing | string {
  const { traffic, snapshotLifetimeMs, keyLifetimeMs, rule } = changes;
  const set = {
    ...traffic,
    ...(snapshotLifetimeMs !== undefined && { snapshot_lifetime_ms: snapshotLifetimeMs }),
    ...(keyLifetimeMs !== undefined && { key_lifetime_ms: keyLifetimeMs }),
  };
  const base = { ...ground, standing: { ...ground.standing, entry: after.entry } };
  const values = applyWish(base, '', { set });
  if (!values.ok) return values.refused;
  const { owners: _owners, rule: _rule, ...entry } = values.standing.entry;
  const ownership = { owners: after.owners, rule: rule ?? after.rule };
  const isKept =
    ownership.owners.join() === ground.standing.owners.join() &&
    JSON.stringify(ownership.rule) === JSON.stringify(ground.standing.rule);
  return {
    ...ownership,
    entry: { ...entry, ...(!isKept && { owners: [...ownership.owners], rule: ownership.rule }) },
  };
}

async function conclude(
  { party, mixnetId, options }: Reviewing,
  consensus: NonNullable<Meeting['consensus']>,
): Promise<ChangeOutcome> {
  const before = await readGround(party, mixnetId);
  if (before.consensusIds.has(consensus.consensusId)) return { outcome: 'applied', mixnetId };
  if (!consensus.signers.includes(party.peerId)) {
    throw new PanoramixError(
      'agreement-foreign',
      'the others have agreed without us; they apply it',
    );
  }
  if (!(await applyChange(party, mixnetId, consensus))) {
    throw new PanoramixError('consensus-not-last', 'another change came first: it is void');
  }
  const { logHead } = await readGround(party, mixnetId);
  options.progress?.({ event: 'change-applied', mixnetId, logHead });
  return { outcome: 'applied', mixnetId };
}
