/**
 * Three operators who decide in any order and any way: either all end with one text that each of them has
 * accepted as it is, or all stop with a named reason; and nobody's signature stands under anything else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { canonicalText } from '../../src/api/canonical.ts';
import { parseContributionText } from '../../src/api/contribution.ts';
import { parseFounding } from '../../src/api/peer.ts';
import { native } from '../../src/crypto/native.ts';
import { ERRORS } from '../../src/errors.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import {
  decideByOptions,
  type Decisions,
  type FoundingTermsText,
  type NodesQuestion,
} from '../../src/wizard/decisions.ts';
import {
  privateController,
  sharedStore,
  type PrivateController,
} from '../controller/private-controller.ts';
import { createParty, invitationsOf, type TestParty } from './parties.ts';

const store = sharedStore(test);
const RUNS = 12;
const ABORT = { answer: 'abort', reason: 'as the dice fell' } as const;
const ACCEPT = { answer: 'accept' } as const;
const INITIAL: FoundingTermsText = {
  mixnetName: 'our_mix-net',
  backend: 'SPHINXMIX',
  params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 2048 },
  rule: { m: 2, n: 3 },
};

/** One answer: what, with which value, after how long. */
interface Move {
  readonly what: 'yes' | 'other' | 'no' | 'abort';
  readonly value: number;
  readonly delayMs: number;
}

const move: fc.Arbitrary<Move> = fc.record({
  what: fc.oneof(
    { weight: 10, arbitrary: fc.constant('yes' as const) },
    { weight: 6, arbitrary: fc.constant('other' as const) },
    { weight: 3, arbitrary: fc.constant('no' as const) },
    { weight: 1, arbitrary: fc.constant('abort' as const) },
  ),
  value: fc.nat(3),
  delayMs: fc.constantFrom(0, 0, 10, 60),
});

function moved(what: Move['what'], value = 0, delayMs = 0): Move {
  return { what, value, delayMs };
}

/** Found by this test: terms that came back revived what had been said against them, for ever. */
const THERE_AND_BACK: [Move[], Move[], Move[]] = [
  [moved('no'), moved('other', 1, 10)],
  [moved('no', 2), moved('other'), moved('other', 3), moved('other', 3)],
  [moved('yes', 3, 60), moved('yes', 3, 60), moved('yes', 1, 60), moved('other')],
];

/** An operator: his moves, then yes to everything. What he has accepted, as text. */
function operator(moves: readonly Move[]) {
  const rest = [...moves];
  const accepted = new Set<string>();
  const next = async (): Promise<Move> => {
    const one = rest.shift() ?? { what: 'yes', value: 0, delayMs: 0 };
    await sleep(one.delayMs);
    return one;
  };
  const decisions: Decisions = {
    ...decideByOptions(),
    proposedTerms: async ({ terms }) => {
      const { what, value } = await next();
      if (what === 'abort') return ABORT;
      const changes = { params: { BODY_LEN: 3_000 + value } };
      const isOther = what === 'other';
      const meant = isOther ? { ...terms, params: { ...terms.params, ...changes.params } } : terms;
      accepted.add(canonicalText(meant));
      return isOther ? { answer: 'counter', changes } : ACCEPT;
    },
    counterProposal: async ({ differences, about }) => {
      const { what } = await next();
      if (what === 'abort') return ABORT;
      if (what === 'no') return { answer: 'keep' };
      for (const { name, theirs } of differences)
        accepted.add(`${about} ${name} ${String(theirs)}`);
      return { answer: 'adopt' };
    },
    owners: async ({ owners, mixnetId }) => {
      const { what } = await next();
      if (what === 'abort') return ABORT;
      accepted.add(canonicalText([mixnetId, owners.map(({ peerId }) => peerId)]));
      return ACCEPT;
    },
    nodes: async (question) => {
      const { what, value } = await next();
      if (what === 'abort') return ABORT;
      const isOther = what === 'other';
      const traffic = { loops_per_second: 1 + value };
      accepted.add(
        nodesText(isOther ? { ...question.traffic, ...traffic } : question.traffic, question.nodes),
      );
      return isOther ? { answer: 'counter', changes: { traffic } } : ACCEPT;
    },
  };
  return { decisions, accepted };
}

function nodesText(traffic: NodesQuestion['traffic'], nodes: NodesQuestion['nodes']): string {
  return canonicalText([traffic, nodes]);
}

test('three operators in any order and any mood end together, and each has accepted what he has signed', async (t) => {
  const controller = await privateController(t, store());
  let founded = 0;
  const moves = fc.array(move, { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.tuple(moves, moves, moves), async (all) => {
      if (await play(t, controller, all)) founded++;
    }),
    { numRuns: RUNS, endOnFailure: true, examples: [[THERE_AND_BACK]] },
  );
  t.log(`${founded} of ${RUNS} founded`);
  t.pass();
});

/** Plays one founding; whether it came to its end. Throws where what must hold does not. */
async function play(
  t: ExecutionContext,
  controller: PrivateController,
  all: readonly (readonly Move[])[],
): Promise<boolean> {
  const parties = all.map(() => createParty(t, controller.url, { roles: ['mix'], domains: [] }));
  const operators = all.map((moves) => operator(moves));
  const [coordinator, ...guests] = parties as [TestParty, ...TestParty[]];
  const decisionsOf = (index: number) => (operators[index] as (typeof operators)[0]).decisions;
  const founding = coordinator.found({ invitations: 2, decisions: decisionsOf(0) });
  const invitations = await invitationsOf(coordinator);
  const joining = guests.map((guest, index) =>
    guest.join(invitations[index] as string, { decisions: decisionsOf(index + 1) }),
  );
  const ends = await Promise.allSettled([founding, ...joining]);
  const negotiationId = invitations[0]?.split('|')[0] as string;
  await holdsSignatures(parties, operators, negotiationId);

  const [first] = ends as [(typeof ends)[0]];
  if (first.status === 'rejected') {
    for (const end of ends) {
      if (end.status === 'fulfilled') throw new Error('one founded what another stopped');
      const { code } = end.reason as { code: keyof typeof ERRORS };
      hold(
        code in ERRORS && !ERRORS[code].temporary,
        `stopped without a reason: ${String(end.reason)}`,
      );
      hold(code === 'agreement-aborted', `stopped by ${code}`);
    }
    return false;
  }
  const nodes = await coordinator.client.getNodes(first.value.mixnetId);
  const read = readFoundation(nodes, first.value.mixnetId, native);
  if (!read.ok) throw new Error(read.reason);
  const [entry] = read.foundation.log.values();
  for (const [index, end] of ends.entries()) {
    hold(end.status === 'fulfilled' && end.value.mixnetId === first.value.mixnetId, 'not one end');
    const accepted = (operators[index] as (typeof operators)[0]).accepted;
    const text = entry && nodesText(entry.traffic, entry.nodes);
    const { loops_per_second: loops } = entry?.traffic ?? {};
    const hasAdopted = index === 0 && accepted.has(`nodes loops_per_second ${loops}`);
    hold(text !== undefined && (accepted.has(text) || hasAdopted), `${index} accepted other nodes`);
  }
  return true;
}

/** Each signature under a founding text is of one who has accepted its terms and its owners. */
async function holdsSignatures(
  parties: readonly TestParty[],
  operators: readonly ReturnType<typeof operator>[],
  negotiationId: string,
): Promise<void> {
  const [first] = parties as [TestParty];
  const texts = new Map<string, string>();
  for (const { text, signer_key_id: signer } of await first.client.listContributions(
    negotiationId,
  )) {
    const body = parseContributionText(text);
    if (!body?.meta.accept) continue;
    hold((texts.get(signer) ?? text) === text, 'signed two texts');
    texts.set(signer, text);
    const index = parties.findIndex((party) => party.identity.peerId === signer);
    const { accepted } = operators[index] as (typeof operators)[0];
    const { key_id: mixnetId, key_data: keyData } = body.data as {
      key_id: string;
      key_data: string;
    };
    const terms = parseFounding(keyData);
    if (!terms) throw new Error('signed what is no founding text');
    const { name: mixnetName, params, rule, owners } = terms;
    const meant = canonicalText({ mixnetName, backend: 'SPHINXMIX', params, rule });
    const isOwn = index === 0 && meant === canonicalText(INITIAL);
    const hasAdopted =
      index === 0 && accepted.has(`founding BODY_LEN ${String(params['BODY_LEN'])}`);
    hold(
      accepted.has(meant) || isOwn || hasAdopted,
      `${index} signed terms that he had not accepted`,
    );
    hold(accepted.has(canonicalText([mixnetId, owners])), `${index} signed owners unseen`);
  }
}

function hold(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
