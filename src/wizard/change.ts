/**
 * An owner's way to a change of a live mixnet: invite who is to join, compose the whole next log entry, sign it
 * first, and wait until so many others have as the rule asks for. Where somebody else's change came first,
 * the same wish is proposed anew on top of it. Killed at any point and started again, it goes on.
 */
import { canonicalText } from '../api/canonical.ts';
import { signaturesNeeded } from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import { printable, readAbort } from '../client/abort.ts';
import { retrying, type Party } from '../client/agree.ts';
import { fingerprintOf } from '../client/fingerprint.ts';
import type { Meeting, Statement } from '../client/meeting.ts';
import { PanoramixError } from '../errors.ts';
import type { LogNode } from '../mixnet/directory-texts.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { OperatorFile, type ProposedChange } from '../mixer/operator-file.ts';
import { describeChange } from './change-describe.ts';
import { gatherGuests, tellGuests } from './change-guests.ts';
import type { ChangeOutcome } from './change-events.ts';
import type { ChangeOptions } from './change-options.ts';
import {
  applyChange,
  composeText,
  look,
  partyOfChange,
  proofsOf,
  readGround,
  refuseDomains,
  repeatSigned,
  sayWord,
  signersOf,
  signText,
} from './change-step.ts';
import { changeDraft, partiesOf, readChange, type ChangeGround } from './change-text.ts';
import { applyWish, placeholders, type ChangeWish, type Standing } from './change-wish.ts';
import type { Difference } from './decisions.ts';
import { mixesBetween } from './nodes.ts';

/** Looks at the negotiation between two looks at the mixnet, whether another change has come first. */
const LOOKS_PER_GROUND = 5;

/** One proposal on its way. */
export interface Proposing {
  readonly party: Party;
  readonly options: ChangeOptions;
  readonly file: OperatorFile;
  readonly mixnetId: string;
}

/**
 * Proposes a change and sees it through; without a wish it goes on with the one that is under way.
 * @throws PanoramixError `config-invalid` (nothing can come of the wish, and why), `agreement-refused` where so
 *   many refuse that the rule cannot be met, `domain-unproved`, `agreement-aborted`
 */
export async function proposeChange(
  options: ChangeOptions,
  wish: ChangeWish | null,
): Promise<ChangeOutcome> {
  const proposing = begin(options);
  const { file, mixnetId, party } = proposing;
  await takeUp(proposing, wish);
  for (;;) {
    const change = file.read().change as ProposedChange;
    const ground = await readGround(party, mixnetId);
    const ended = await goOn(proposing, change, ground);
    if (ended === 'again') continue;
    if (ended.outcome === 'applied') await tellApplied(proposing);
    file.update({ change: undefined, signed: {} });
    return ended;
  }
}

/**
 * Takes a change back that we have proposed: said aloud and signed, so that nobody goes on with it.
 * @returns false where the others have agreed on it meanwhile: then it stands
 */
export async function withdrawChange(options: ChangeOptions, reason: string): Promise<boolean> {
  const proposing = begin(options);
  const { party, file, mixnetId } = proposing;
  const { change } = file.read();
  if (!change) throw new PanoramixError('config-invalid', 'we have proposed no change');
  const ground = await readGround(party, mixnetId);
  const ids = [change.negotiation_id, change.joining_negotiation_id];
  for (const id of ids) {
    if (id === undefined) continue;
    const meeting = await look(party, id);
    if (meeting.consensus && (await applyChange(party, mixnetId, meeting.consensus))) return false;
    await sayWord(party, meeting, changeDraft(ground, ground.standing), { aborted: { reason } });
  }
  file.update({ change: undefined, signed: {} });
  return true;
}

function begin(options: ChangeOptions): Proposing {
  const state = new MixnetStateFile(options.statePath).read();
  if (!state?.mixnet_id || !state.nodes || state.batch) {
    throw new PanoramixError('config-invalid', `${options.statePath} names no mixnet for mail`);
  }
  return {
    options,
    party: partyOfChange(options),
    file: new OperatorFile(options.statePath),
    mixnetId: state.mixnet_id,
  };
}

/** Remembers the wish before anybody hears of it; another one than the one under way is refused. */
async function takeUp(
  { file, options, party, mixnetId }: Proposing,
  wish: ChangeWish | null,
): Promise<void> {
  const { change } = file.read();
  if (change) {
    if (wish === null || canonicalText(change.wish) === canonicalText(wish)) return;
    throw new PanoramixError(
      'config-invalid',
      'a change of ours is under way: see it through without other wishes, or take it back',
    );
  }
  if (wish === null) throw new PanoramixError('config-invalid', 'no change was asked for');
  const ground = await readGround(party, mixnetId);
  if (!ground.standing.owners.includes(options.identity.peerId)) {
    throw new PanoramixError('config-invalid', 'we do not own this mixnet (any more)');
  }
  const applied = applyWish(ground, options.identity.peerId, wish, placeholders(wish));
  if (!applied.ok) throw new PanoramixError('config-invalid', applied.refused);
  if (describeChange(ground.standing, applied.standing).length === 0) {
    throw new PanoramixError('config-invalid', 'all that was asked for is so already');
  }
  file.update({ change: { wish } });
}

/** From where the file says that it stands to the end, or until all has to be looked at anew. */
async function goOn(
  proposing: Proposing,
  change: ProposedChange,
  ground: ChangeGround,
): Promise<ChangeOutcome | 'again'> {
  const { party, file, mixnetId, options } = proposing;
  if (change.negotiation_id === undefined) return await propose(proposing, change, ground);
  const meeting = await look(party, change.negotiation_id);
  if (meeting.consensus && (await applyChange(party, mixnetId, meeting.consensus))) {
    return { outcome: 'applied', mixnetId };
  }
  if (change.on_log_head === ground.logHead && !meeting.consensus) {
    return await seeThrough(proposing, change, ground);
  }
  await sayWord(party, meeting, changeDraft(ground, ground.standing), {
    aborted: { reason: 'another change came first; proposed anew' },
  });
  file.update({ change: afresh(change) });
  options.progress?.({ event: 'change-rebased', negotiationId: change.negotiation_id });
  return 'again';
}

/** The wish and who has joined, without the proposal that cannot be any more. */
function afresh({ wish, joining_negotiation_id, tokens, withdrawn, guests }: ProposedChange) {
  return {
    wish,
    ...(joining_negotiation_id && { joining_negotiation_id }),
    ...(tokens && { tokens }),
    ...(withdrawn && { withdrawn }),
    ...(guests && { guests }),
  };
}

/** Gathers guests, composes, and opens the negotiations, remembering each step. */
async function propose(
  { party, file, options }: Proposing,
  change: ProposedChange,
  ground: ChangeGround,
): Promise<ChangeOutcome | 'again'> {
  const guests = await gatherGuests({ party, file, options, ground, change });
  const before = ground.standing;
  const applied = applyWish(ground, party.peerId, change.wish, guests);
  if (!applied.ok) {
    throw new PanoramixError(
      'consensus-not-last',
      `it no longer fits the mixnet: ${applied.refused}`,
    );
  }
  const after = applied.standing;
  if (describeChange(before, after).length === 0) return { outcome: 'nothing-to-do' };
  const domains = await proofsOf(options, before, after);
  const unproved = refuseDomains(domains);
  if (unproved !== null) throw new PanoramixError('domain-unproved', unproved);
  const open = (among: Parameters<Party['client']['createNegotiation']>[0]): Promise<string> =>
    retrying(party, () => party.client.createNegotiation(among));
  const next = await open({
    signers: after.owners,
    needed: signaturesNeeded(after.rule, after.owners.length),
  });
  const negotiationId = await open(partiesOf(before, after));
  const current = file.read().change as ProposedChange;
  file.update({
    change: {
      ...current,
      negotiation_id: negotiationId,
      on_log_head: ground.logHead,
      next_negotiation_id: next,
    },
  });
  const available = mixesBetween(after.entry.nodes);
  const needed = after.entry.traffic.mixes_per_route;
  if (available < needed) options.progress?.({ event: 'few-mixes', available, needed });
  return 'again';
}

/** Signs first, tells the guests, and waits for the others. */
async function seeThrough(
  proposing: Proposing,
  change: ProposedChange,
  ground: ChangeGround,
): Promise<ChangeOutcome | 'again'> {
  const { party, file, options } = proposing;
  const id = change.negotiation_id as string;
  const guests: readonly LogNode[] = change.guests ?? [];
  const applied = applyWish(ground, party.peerId, change.wish, guests);
  if (!applied.ok) throw new PanoramixError('consensus-not-last', applied.refused);
  const after = applied.standing;
  const text = await signFirst(proposing, change, ground, after);
  options.progress?.({
    event: 'change-proposed',
    negotiationId: id,
    proposer: party.peerId,
    lines: describeChange(ground.standing, after),
  });
  await tellGuests(party, change, ground);
  const heard = new Set<string>();
  for (let looks = 1; ; looks++) {
    const meeting = await look(party, id);
    if (meeting.consensus) return 'again';
    const { needed } = partiesOf(ground.standing, after);
    const signed = signersOf(meeting, text, ground.standing, after);
    options.progress?.({ event: 'change-signed', signed: signed.length, needed });
    const countered = await judge(proposing, { meeting, text, ground, after, heard });
    if (countered) {
      await sayWord(party, meeting, changeDraft(ground, ground.standing), {
        aborted: { reason: 'proposed anew, with other values' },
      });
      file.update({ change: { ...afresh(change), wish: countered } });
      return 'again';
    }
    if (looks % LOOKS_PER_GROUND === 0) {
      const now = await readGround(party, ground.mixnetId);
      if (now.logHead !== ground.logHead) return 'again';
    }
    await party.wait(party.pollMs);
  }
}

/** Says what is proposed, and where its first snapshot is agreed on; then signs it. */
async function signFirst(
  { party, file }: Proposing,
  change: ProposedChange,
  ground: ChangeGround,
  after: Standing,
): Promise<string> {
  const id = change.negotiation_id as string;
  const meeting = await look(party, id);
  const next = change.next_negotiation_id as string;
  const draft = { ...changeDraft(ground, after), meta: { next_negotiation_id: next } };
  const isSaid = meeting.statements.some(
    ({ signer, body }) => signer === party.peerId && body.meta.next_negotiation_id === next,
  );
  if (!isSaid) await sayWord(party, meeting, draft);
  const signed = file.read().signed[id];
  if (signed !== undefined) {
    await repeatSigned(party, file, meeting);
    return signed;
  }
  const text = composeText(party, meeting, draft);
  await signText(party, file, id, text);
  return text;
}

interface Judged {
  readonly meeting: Meeting;
  readonly text: string;
  readonly ground: ChangeGround;
  readonly after: Standing;
  /** Words that were dealt with: each is put before the operator once. */
  readonly heard: Set<string>;
}

/**
 * What those say who do not sign: a counter-proposal is put before the operator, a refusal ends all where so many
 * refuse that the rule cannot be met.
 * @returns another wish where a counter-proposal is adopted
 */
async function judge(proposing: Proposing, judged: Judged): Promise<ChangeWish | null> {
  const { options, party } = proposing;
  const { meeting, text, ground, after } = judged;
  const { signers, needed, required = [] } = partiesOf(ground.standing, after);
  const against = meeting.statements.filter(
    (said) =>
      said.latest &&
      said.signer !== party.peerId &&
      signers.includes(said.signer) &&
      isAgainst(said, hashText(party.primitives, text)),
  );
  for (const said of against) {
    if (judged.heard.has(said.text)) continue;
    judged.heard.add(said.text);
    const wish = await counterOf(proposing, judged, said);
    if (wish) return wish;
    const reason = reasonOf(meeting, said);
    options.progress?.({ event: 'change-refused', by: said.signer, reason });
  }
  const refusing = new Set(against.map((said) => said.signer));
  const isLost =
    signers.length - refusing.size < needed || required.some((key) => refusing.has(key));
  if (!isLost) return null;
  const who = against.map((said) => `${said.signer.slice(0, 8)}…: ${reasonOf(meeting, said)}`);
  await withdrawChange(options, 'too many are against it');
  throw new PanoramixError('agreement-refused', `too many are against it (${who.join('; ')})`);
}

function isAgainst({ body }: Statement, textHash: string): boolean {
  const { refused, aborted } = body.meta as {
    refused?: { text_hash?: unknown };
    aborted?: unknown;
  };
  return aborted !== undefined || refused?.text_hash === textHash;
}

function reasonOf(meeting: Meeting, { signer, body }: Statement): string {
  const aborted = readAbort(meeting, (one) => one === signer);
  const { refused } = body.meta as { refused?: { reason?: unknown } };
  return aborted?.reason ?? printable(refused?.reason);
}

/** The wish with another owner's values, where the operator adopts them. */
async function counterOf(
  { options, file, party }: Proposing,
  { ground, after }: Judged,
  said: Statement,
): Promise<ChangeWish | null> {
  const read = readChange(ground, { ...said.body, meta: { ...said.body.meta, signers: [] } });
  if (!read.ok || 'aborted' in said.body.meta) return null;
  const values = valuesApart(after, read.standing);
  if (values.length === 0) return null;
  const { wish } = file.read().change as ProposedChange;
  const countered = {
    ...wish,
    set: {
      ...wish.set,
      ...Object.fromEntries(
        values.flatMap(({ name, theirs }) => (typeof theirs === 'number' ? [[name, theirs]] : [])),
      ),
    },
    ...(canonicalText(read.standing.rule) !== canonicalText(after.rule) && {
      rule: read.standing.rule,
    }),
  };
  const applied = applyWish(ground, party.peerId, countered, file.read().change?.guests ?? []);
  // More than values: who is in it, and what they do, is our proposal's.
  const isOnlyValues =
    applied.ok && canonicalText(applied.standing.entry) === canonicalText(read.standing.entry);
  if (!isOnlyValues) return null;
  const answer = await options.decisions.counterProposal(
    {
      about: 'change',
      from: {
        peerId: said.signer,
        fingerprint: fingerprintOf(party.primitives, said.signer),
        isSelf: false,
        isCoordinator: false,
      },
      contribution: said.id,
      differences: values,
    },
    options.signal ?? new AbortController().signal,
  );
  if (answer.answer === 'abort') {
    await withdrawChange(options, answer.reason);
    throw new PanoramixError('agreement-aborted', `we have stopped it: ${answer.reason}`);
  }
  return answer.answer === 'adopt' ? countered : null;
}

function valuesApart(ours: Standing, theirs: Standing): Difference[] {
  return describeChange(ours, theirs).flatMap(({ kind, what, before, after }) =>
    kind === 'altered' ? [{ name: what, ours: before, theirs: after }] : [],
  );
}

async function tellApplied({ party, options, mixnetId }: Proposing): Promise<void> {
  const { logHead } = await readGround(party, mixnetId);
  options.progress?.({ event: 'change-applied', mixnetId, logHead });
}
