/**
 * Model: negotiations among peers of whom any may be dishonest, and what their consensus is applied to.
 * Written from D4.2 §6.2 and design §7, not from the rules of the controller. Each step asks the
 * controller, says which rules the request breaks, and changes the model where it breaks none.
 */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { contributionText } from '../../../src/api/contribution.ts';
import type { ConsensusRecord } from '../../../src/api/negotiation.ts';
import type { PeerFields } from '../../../src/api/peer.ts';
import { signText } from '../../../src/api/signed.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { broken, dataOf, expectAnswer, step, type World } from './world.ts';

const CREATE_PEER = { resource: 'peer', operation: 'create' };
/** Peers of one sequence. */
export const PARTIES = 4;

interface Said {
  readonly signer: string;
  readonly text: string;
  readonly accept: boolean;
  readonly signers: readonly string[];
}

/** A negotiation as the model sees it. */
export interface Negotiation {
  readonly id: string;
  readonly opener: string;
  readonly among: {
    readonly signers: readonly string[];
    readonly needed: number;
    readonly required: readonly string[];
  } | null;
  readonly said: Said[];
  /** By the opener's last text that names any. */
  named: readonly string[];
  done: {
    readonly text: string;
    readonly signers: readonly string[];
    readonly data: unknown;
  } | null;
  consensus: string | null;
}

/** What must be so. */
export interface Model {
  readonly negotiations: Negotiation[];
  /** Peers by id: which consensus has made them. */
  readonly peers: Map<string, string>;
  /** Consensus ids that were applied, and to which data. */
  readonly used: Map<string, unknown>;
}

/** Whom the model asks, and who asks. */
export interface Real {
  readonly world: World;
  readonly parties: readonly Identity[];
  /** What they may agree on: peers of the first two, or of the first three. */
  readonly wishes: readonly PeerFields[];
}

const party = fc.nat(PARTIES - 1);
const some = fc.nat(20);

async function open(
  model: Model,
  { world, parties }: Real,
  opener: Identity,
  among: { readonly count: number; readonly needed: number; readonly required: number } | null,
): Promise<Negotiation | null> {
  const signers = among && keysOf(parties.slice(0, among.count));
  // Of those who may sign, or of those and somebody who may not.
  const required = keysOf(parties.slice(0, among?.required));
  const limits = among && signers ? { signers, needed: among.needed, required } : null;
  const info = { resource: 'negotiation', operation: 'create' };
  const answer = await world.ask('POST', 'negotiations', opener, { data: limits ?? {}, info });
  const rules = broken({
    'request-malformed':
      among !== null && (among.needed > among.count || among.required > among.needed),
  });
  if (!expectAnswer(answer, rules, 'begin')) return null;
  const { id } = dataOf(answer) as { id: string };
  const begun = { id, opener: opener.peerId, among: limits, said: [], named: [] };
  model.negotiations.push({ ...begun, done: null, consensus: null });
  return model.negotiations.at(-1) ?? null;
}

const three = fc.integer({ min: 1, max: 3 });
const nobodyToThree = fc.integer({ min: 0, max: 3 });
const begin = fc
  .record({
    opener: party,
    among: fc.option(fc.record({ count: three, needed: three, required: nobodyToThree })),
  })
  .map(({ opener, among }) =>
    step<Model, Real>(`begin ${JSON.stringify({ opener, among })}`, async (model, real) => {
      await open(model, real, at(real.parties, opener), among);
    }),
  );

/** What somebody says, perhaps in another's name or for another negotiation. */
interface Saying {
  readonly who: Identity;
  readonly accept: boolean;
  readonly signers: readonly string[];
  readonly data: unknown;
  readonly meant: Negotiation;
  readonly signedBy: Identity;
}

async function speak(real: Real, negotiation: Negotiation, saying: Saying): Promise<void> {
  const { who, accept, signers, data, meant, signedBy } = saying;
  const text = textOf(meant.id, data, accept, signers);
  const answer = await real.world.ask('POST', 'contributions', who, {
    data: { negotiation_id: negotiation.id, text, signature: signText(native, signedBy, text) },
    info: { resource: 'contribution', operation: 'create' },
  });
  if (negotiation.said.some((one) => one.signer === who.peerId && one.text === text)) {
    expectAnswer(answer, broken({}), 'say what was said');
    return;
  }
  const rules = broken({
    'signature-invalid': signedBy !== who,
    'contribution-foreign': meant !== negotiation,
    'negotiation-done': negotiation.done !== null,
    'not-a-signer': [negotiation.among?.signers ?? [], negotiation.named, signers].some(
      (those) => those.length > 0 && !those.includes(who.peerId),
    ),
  });
  if (!expectAnswer(answer, rules, 'say')) return;
  negotiation.said.push({ signer: who.peerId, text, accept, signers });
  if (who.peerId === negotiation.opener && signers.length > 0) negotiation.named = signers;
  if (accept) close(negotiation, text, signers, data);
}

const rarely = (index: fc.Arbitrary<number>) =>
  fc.oneof({ arbitrary: fc.constant(null), weight: 9 }, { arbitrary: index, weight: 1 });

const say = fc
  .record({
    which: some,
    who: party,
    accept: fc.boolean(),
    signers: fc.constantFrom<readonly number[]>([], [], [0, 1], [0, 1, 2], [1], [0, 1, 2, 3]),
    wish: fc.nat(1),
    meant: rarely(some),
    as: rarely(party),
  })
  .map((said) =>
    step<Model, Real>(`say ${JSON.stringify(said)}`, async (model, real) => {
      const negotiation = pick(model.negotiations, said.which);
      if (negotiation === null) return;
      const { parties, wishes } = real;
      const who = at(parties, said.who);
      await speak(real, negotiation, {
        who,
        accept: said.accept,
        signers: keysOf(said.signers.map((index) => at(parties, index))),
        data: wishes[said.wish],
        meant:
          said.meant === null ? negotiation : (pick(model.negotiations, said.meant) ?? negotiation),
        signedBy: said.as === null ? who : at(parties, said.as),
      });
    }),
  );

/** Several accept one text one after the other, as honest peers do. */
const acceptTogether = fc
  .record({
    which: some,
    count: fc.constantFrom(1, 2, 2, 2, 3, 3, 4),
    named: fc.boolean(),
    wish: rarely(fc.nat(1)),
  })
  .map((all) =>
    step<Model, Real>(`accept ${JSON.stringify(all)}`, async (model, real) => {
      const negotiation = pick(model.negotiations, all.which);
      if (negotiation === null) return;
      const those = real.parties.slice(0, all.count);
      const signers = all.named ? keysOf(those) : [];
      const wish = real.wishes[all.wish ?? (all.count === 3 ? 1 : 0)];
      const said = { accept: true, signers, data: wish, meant: negotiation };
      for (const who of those) await speak(real, negotiation, { ...said, who, signedBy: who });
    }),
  );

/** Whether a text has just ended a negotiation: design §7, and controller/README.md "Who ends a negotiation". */
function close(
  negotiation: Negotiation,
  text: string,
  signers: readonly string[],
  data: unknown,
): void {
  const { among, opener, said, named } = negotiation;
  const lastOf = (key: string): string | undefined =>
    said.findLast((one) => one.signer === key)?.text;
  const agree = (keys: readonly string[]): boolean => keys.every((key) => lastOf(key) === text);
  if (among !== null) {
    const agreed = among.signers.filter((key) => lastOf(key) === text);
    if (agreed.length < among.needed || !agree([...among.required, ...signers])) return;
    negotiation.done = { text, signers: agreed, data };
    return;
  }
  const spoke = [...new Set([...said.map((one) => one.signer), ...named])].toSorted();
  const needed = signers.length > 0 ? signers : spoke;
  if (needed.includes(opener) && agree(needed)) negotiation.done = { text, signers: needed, data };
}

async function carryOut(
  model: Model,
  real: Real,
  negotiation: Negotiation,
  how: { readonly who: Identity; readonly data: PeerFields; readonly times: number },
): Promise<void> {
  const { who, data, times } = how;
  // Nobody can know the consensus id of what was not agreed.
  const consensus =
    negotiation.done === null ? '7'.repeat(64) : await consensusOf(real, negotiation);
  const by_consensus = { consensus_id: consensus, consensus_type: 'structural' as const };
  const body = { data, info: CREATE_PEER, by_consensus };
  const answers = await Promise.all(
    Array.from({ length: times }, () => real.world.ask('POST', 'peers', who, body)),
  );
  const first = model.used.get(consensus);
  // Who sends it again gets the first answer: what was agreed is public, and so is the peer.
  const isRepeat = first === data;
  const owners = data.owners.map((owner) => owner.owner_key_id);
  const signers = negotiation.done?.signers ?? [];
  const rules = broken({
    'consensus-unknown': negotiation.done === null,
    'consensus-used': first !== undefined && !isRepeat,
    'consensus-mismatch': !isRepeat && negotiation.done?.data !== data,
    'not-a-signer': !isRepeat && !signers.includes(who.peerId),
    'consensus-insufficient': !isRepeat && signers.join() !== owners.join(),
    'peer-exists': !isRepeat && model.peers.has(data.key_id),
  });
  for (const answer of answers) {
    expectAnswer(answer, rules, isRepeat ? 'apply again' : 'apply');
    deepStrictEqual(answer.body, answers[0]?.body, 'at the same moment the same answer');
  }
  if (rules.size > 0) return;
  model.used.set(consensus, data);
  if (!isRepeat) model.peers.set(data.key_id, consensus);
}

const apply = fc
  .record({ which: some, who: party, wish: fc.nat(1), times: three, honest: fc.boolean() })
  .map((how) =>
    step<Model, Real>(`apply ${JSON.stringify(how)}`, async (model, real) => {
      const { parties, wishes } = real;
      const ended = model.negotiations.filter((one) => one.done !== null);
      const negotiation = pick(how.honest ? ended : model.negotiations, how.which);
      if (negotiation === null) return;
      const signer = parties.find(({ peerId }) => negotiation.done?.signers.includes(peerId));
      const who = (how.honest && signer) || at(parties, how.who);
      const data = ((how.honest && negotiation.done?.data) || wishes[how.wish]) as PeerFields;
      await carryOut(model, real, negotiation, { who, data, times: how.times });
    }),
  );

/** The first two or three agree anew, and apply it: what honest owners do, perhaps once more. */
const decide = fc.record({ wish: fc.nat(1), times: three }).map((how) =>
  step<Model, Real>(`decide ${JSON.stringify(how)}`, async (model, real) => {
    const [opener] = real.parties as [Identity];
    const negotiation = await open(model, real, opener, null);
    if (negotiation === null) return;
    const data = real.wishes[how.wish] as PeerFields;
    const those = real.parties.slice(0, data.owners.length);
    const saying = { accept: true, signers: keysOf(those), data, meant: negotiation };
    for (const who of those) await speak(real, negotiation, { ...saying, who, signedBy: who });
    await carryOut(model, real, negotiation, { who: opener, data, times: how.times });
  }),
);

const again = some.map((index) =>
  step<Model, Real>(`send again ${index}`, async (_, { world }) => {
    if (world.sent.length === 0) return;
    const { sent, now } = await world.again(index);
    deepStrictEqual(now.status, sent.answer.status, 'a repeat is answered as it first was');
    // What was begun may have ended, and what was the last word may have been followed by another.
    const same = ({ body }: { readonly body: unknown }) => {
      const { id, text, key_id } = (body as { data: Record<string, unknown> }).data;
      return sent.path === 'negotiations' ? { id } : { id, text, key_id };
    };
    deepStrictEqual(same(now), same(sent.answer), sent.path);
  }),
);

/** Every step, the likelier ones more than once. */
export const STEPS = [
  begin,
  begin,
  say,
  say,
  acceptTogether,
  acceptTogether,
  apply,
  apply,
  decide,
  again,
];

function textOf(
  negotiationId: string,
  data: unknown,
  accept: boolean,
  signers: readonly string[],
): string {
  const time = '2026-01-01T00:00:00.000Z';
  const meta = { accept, signers: [...signers], negotiation_id: negotiationId, round: 1, time };
  return contributionText({ data, info: CREATE_PEER, meta });
}

async function consensusOf(real: Real, negotiation: Negotiation): Promise<string> {
  const path = `negotiations/${negotiation.id}`;
  negotiation.consensus ??= (
    dataOf(await real.world.read(at(real.parties, 0), path)) as ConsensusRecord
  ).consensus;
  return negotiation.consensus;
}

/** Their keys, sorted. */
export function keysOf(identities: readonly Identity[]): string[] {
  return identities.map((identity) => identity.peerId).toSorted();
}

function at(parties: readonly Identity[], index: number): Identity {
  return parties[index] as Identity;
}

function pick<T>(list: readonly T[], index: number): T | null {
  return list[index % Math.max(list.length, 1)] ?? null;
}
