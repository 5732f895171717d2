/**
 * Steps of batch cycles, by honest and dishonest posters, owners and strangers: each asks the controller, lets
 * the model say which rules the request breaks, and changes the model where it breaks none.
 */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import type { EndpointStatus, EndpointUpdate } from '../../../src/api/endpoint.ts';
import { type Box, messageHash, type MessageCreate } from '../../../src/api/message.ts';
import type { RequestBody } from '../../../src/api/signed.ts';
import { native } from '../../../src/crypto/native.ts';
import {
  type Decision,
  infoOf,
  judge,
  judgeChange,
  type Letter,
  messageOf,
  type Model,
  move,
  NEXT,
  type Party,
  type Real,
  receiptOf,
  take,
  updateOf,
} from './batch-model.ts';
import { broken, dataOf, expectAnswer, step } from './world.ts';

const anybody = fc.nat(3);
const owner = fc.nat(1);
const letter = fc.nat(7);
const often = <T>(usual: T, ...others: readonly T[]) =>
  fc.oneof(
    { arbitrary: fc.constant(usual), weight: 8 },
    { arbitrary: fc.constantFrom(...others), weight: 2 },
  );

const letterOf = fc.record({
  letter,
  box: fc.constantFrom<Box>('INBOX', 'INBOX', 'INBOX', 'INBOX', 'PROCESSBOX', 'ACCEPTED', 'OUTBOX'),
  asAnother: often(false, true),
  toAnother: often(false, true),
});

const POST = { resource: 'message', operation: 'create' };

async function postOne(model: Model, real: Real, from: Party, message: MessageCreate) {
  const rules = judge(model, real, from, message);
  const what = model.seen.has(messageHash(native, message)) ? 'post again' : `post ${message.box}`;
  const body = { data: message, info: POST };
  const answer = await real.world.ask('POST', 'messages', from.identity, body);
  if (!expectAnswer(answer, rules, what)) return;
  deepStrictEqual(dataOf(answer), receiptOf(message));
  take(model, from, message);
}

const post = fc.record({ who: anybody, of: letterOf }).map(({ who, of }) =>
  step<Model, Real>(`post ${JSON.stringify({ who, ...of })}`, async (model, real) => {
    const from = real.who[who] as Party;
    await postOne(model, real, from, messageOf(real, from, of));
  }),
);

/** What an honest poster, or an owner with results, posts. */
const postWell = fc.record({ who: fc.nat(2), letter }).map((of) =>
  step<Model, Real>(`post well ${JSON.stringify(of)}`, async (model, real) => {
    const from = real.who[of.who] as Party;
    const results = model.status === 'CLOSED' && of.who < 2;
    const box = results ? 'PROCESSBOX' : 'INBOX';
    const well = {
      letter: of.letter + 8 * model.logs.length,
      box,
      asAnother: false,
      toAnother: false,
    };
    await postOne(model, real, from, messageOf(real, from, well as Letter));
  }),
);

async function postAll(
  model: Model,
  real: Real,
  from: Party,
  messages: readonly MessageCreate[],
): Promise<void> {
  const body = { data: messages, info: POST };
  const answer = await real.world.ask('POST', 'messages', from.identity, body);
  expectAnswer(answer, broken({}), 'post list');
  const outcomes = answer.body as readonly Outcome[];
  deepStrictEqual(outcomes.length, messages.length, 'one answer for each');
  for (const [index, message] of messages.entries()) {
    const { data, problem } = outcomes[index] ?? {};
    const { status = 201, reason = null } = problem ?? {};
    const one = { status, reason, body: { data } };
    if (!expectAnswer(one, judge(model, real, from, message), 'post in list')) continue;
    deepStrictEqual(data, receiptOf(message));
    take(model, from, message);
  }
}

interface Outcome {
  readonly data?: unknown;
  readonly problem?: { readonly status: number; readonly reason: string };
}

/** A list, perhaps once more: what was taken is a repeat then, and what was refused is judged anew. */
const postList = fc
  .record({
    who: anybody,
    letters: fc.array(letterOf, { minLength: 1, maxLength: 5 }),
    twice: fc.boolean(),
  })
  .map(({ who, letters, twice }) =>
    step<Model, Real>(
      `post list ${JSON.stringify({ who, letters, twice })}`,
      async (model, real) => {
        const from = real.who[who] as Party;
        const messages = letters.map((of) => messageOf(real, from, of));
        await postAll(model, real, from, messages);
        if (twice) await postAll(model, real, from, messages);
      },
    ),
  );

const stray = often<'none' | 'nobody' | 'another box' | 'wrong fields'>(
  'none',
  'nobody',
  'another box',
  'wrong fields',
);
/** Which of a box a closing or publishing names, and what it names besides. */
const naming = fc.record({
  mask: fc.oneof({ arbitrary: fc.constant(255), weight: 3 }, { arbitrary: fc.nat(255), weight: 2 }),
  stray,
});

async function decide(
  model: Model,
  { world, who }: Real,
  data: EndpointUpdate,
  signers: readonly number[],
  last: string,
): Promise<Decision> {
  const info = infoOf(last);
  const parties = signers.map((index) => who[index] as Party);
  const identities = parties.map((party) => party.identity);
  const consensus = await world.agree(identities, { data, info });
  const keys = parties.map((party) => party.identity.peerId).toSorted();
  const decision = { consensus, data, last, signers: keys, answer: null };
  model.decisions.push(decision);
  return decision;
}

/** How a decision is brought to the controller. */
interface Applying {
  readonly who: number;
  readonly times: number;
  /** What the request says instead of what was agreed. */
  readonly instead: EndpointUpdate | null;
  readonly consensus: 'named' | 'missing' | 'unknown';
}

async function apply(model: Model, real: Real, decision: Decision, how: Applying): Promise<void> {
  const { world, who, endpointId } = real;
  const from = who[how.who] as Party;
  const consensus_id = how.consensus === 'unknown' ? '7'.repeat(64) : decision.consensus;
  const by_consensus = { consensus_id, consensus_type: 'structural' as const };
  const data = how.instead ?? decision.data;
  const body: RequestBody = {
    data,
    info: infoOf(decision.last),
    ...(how.consensus !== 'missing' && { by_consensus }),
  };
  const changed = how.instead !== null && JSON.stringify(data) !== JSON.stringify(decision.data);
  const isRepeat = decision.answer !== null && !changed && how.consensus === 'named';
  const rules = isRepeat
    ? broken({})
    : new Set([
        ...broken({
          'consensus-missing': how.consensus === 'missing',
          'consensus-unknown': how.consensus === 'unknown',
          'consensus-mismatch': changed,
          'consensus-used': changed && decision.answer !== null,
          'not-a-signer': !decision.signers.includes(from.identity.peerId),
        }),
        ...judgeChange(model, real, decision, data),
      ]);
  const answers = await Promise.all(
    Array.from({ length: how.times }, () =>
      world.ask('PATCH', `endpoint/${endpointId}`, from.identity, body),
    ),
  );
  for (const answer of answers) {
    const what = isRepeat ? 'change again' : rules.size > 0 ? 'change' : `change to ${data.status}`;
    if (!expectAnswer(answer, rules, what)) continue;
    decision.answer ??= answer.body;
    deepStrictEqual(answer.body, decision.answer, 'a repeat gets the first answer');
  }
  if (rules.size === 0 && !isRepeat) move(model, decision);
}

const status = fc.constantFrom<EndpointStatus>('OPEN', 'FULL', 'CLOSED', 'PROCESSED');

/** Any decision by anybody, applied by anybody, as it was agreed or not. */
const change = fc
  .record({
    status,
    naming,
    signers: often<readonly number[]>([0, 1], [0], [1], [2], [0, 1, 2], [3]),
    stale: often(false, true),
    who: often(0, 1, 2, 3),
    times: fc.integer({ min: 1, max: 3 }),
    instead: fc.option(fc.record({ status, naming }), { freq: 2 }),
    consensus: often<Applying['consensus']>('named', 'missing', 'unknown'),
  })
  .map((how) =>
    step<Model, Real>(`change ${JSON.stringify(how)}`, async (model, real) => {
      const line = how.stale ? model.logs[0] : model.logs.at(-1);
      const data = updateOf(model, real, how.status, how.naming);
      const decision = await decide(model, real, data, how.signers, line?.consensus ?? '');
      const instead =
        how.instead && how.who > 0
          ? updateOf(model, real, how.instead.status, how.instead.naming)
          : null;
      await apply(model, real, decision, { ...how, instead });
    }),
  );

/** What both owners decide next, mostly well. */
const goOn = fc
  .record({
    who: owner,
    times: fc.integer({ min: 1, max: 3 }),
    mask: fc.constantFrom(255, 255, 3, 5),
    stray,
    full: often(false, true),
  })
  .map((how) =>
    step<Model, Real>(`go on ${JSON.stringify(how)}`, async (model, real) => {
      const [first = 'OPEN', second = first] = NEXT[model.status];
      const data = updateOf(model, real, how.full ? first : second, how);
      const last = model.logs.at(-1)?.consensus ?? '';
      const decision = await decide(model, real, data, [0, 1], last);
      await apply(model, real, decision, { ...how, instead: null, consensus: 'named' });
    }),
  );

/** An earlier decision, used again or at last; or for something else. */
const reuse = fc
  .record({
    which: fc.nat(20),
    who: owner,
    times: fc.integer({ min: 1, max: 2 }),
    other: often(false, true),
    status,
    naming,
  })
  .map((how) =>
    step<Model, Real>(`use again ${JSON.stringify(how)}`, async (model, real) => {
      const decision = model.decisions[how.which % Math.max(model.decisions.length, 1)];
      if (decision === undefined) return;
      const instead = how.other ? updateOf(model, real, how.status, how.naming) : null;
      await apply(model, real, decision, { ...how, instead, consensus: 'named' });
    }),
  );

/** Any accepted request again, byte for byte: the first answer, and nothing else. */
const again = fc.nat(50).map((index) =>
  step<Model, Real>(`send again ${index}`, async (_, { world }) => {
    if (world.sent.length === 0) return;
    const { sent, now } = await world.again(index);
    deepStrictEqual(now, sent.answer, `again: ${sent.method} ${sent.path}`);
  }),
);

/** Every step, the likelier ones more than once. */
export const STEPS = [
  postWell,
  postWell,
  postWell,
  post,
  post,
  postList,
  goOn,
  goOn,
  change,
  reuse,
  again,
];
