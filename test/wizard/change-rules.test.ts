/** What comes of a wish, and how it reads: without a controller. */
import test from 'ava';
import { addedOwners } from '../../src/api/peer.ts';
import { describeChange, newDomains } from '../../src/wizard/change-describe.ts';
import {
  changeDraft,
  partiesOf,
  readChange,
  type ChangeGround,
} from '../../src/wizard/change-text.ts';
import { applyWish, type ChangeWish, type Standing } from '../../src/wizard/change-wish.ts';
import type { LogNode } from '../../src/mixnet/directory-texts.ts';
import { LIFETIME_MS, TRAFFIC } from '../mixnet/signed-directory.ts';

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64)) as [
  string,
  string,
  string,
  string,
];
const standing: Standing = {
  owners: [a, b, c],
  rule: { m: 2, n: 3 },
  entry: {
    previous: '0'.repeat(64),
    nodes: [
      nodeOf(a, { roles: ['gateway'], domains: ['alpha.example', 'both.example'] }),
      nodeOf(b, { roles: ['gateway'], domains: ['beta.example'] }),
      nodeOf(c),
    ],
    traffic: TRAFFIC,
    snapshot_lifetime_ms: LIFETIME_MS,
    key_lifetime_ms: LIFETIME_MS,
  },
};
const ground: ChangeGround = {
  mixnetId: 'e'.repeat(64),
  name: 'paper',
  standing,
  logHead: '1'.repeat(64),
  lastConsensusId: '2'.repeat(64),
  consensusIds: new Set(['2'.repeat(64)]),
  params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 32_768 },
};

const WISHES: readonly [string, ChangeWish, readonly LogNode[], readonly string[]][] = [
  ['a domain added', { add_domains: ['New.example'] }, [], ['new.example is served by aaaaaaaa…']],
  [
    'a domain that moves here',
    { add_domains: ['beta.example'] },
    [],
    ['beta.example moves: from bbbbbbbb… to aaaaaaaa…'],
  ],
  [
    'a domain removed',
    { remove_domains: ['both.example'] },
    [],
    ['both.example is no more in the mixnet: its mail travels as any other'],
  ],
  ['a weight', { weight: 5 }, [], ['node aaaaaaaa…: weight: from 1 to 5']],
  [
    'another role',
    { roles: ['mix', 'gateway'] },
    [],
    ['node aaaaaaaa…: roles: from gateway to gateway and mix'],
  ],
  [
    'traffic and lifetimes',
    { set: { delay_mean_ms: 3000, key_lifetime_ms: 2 * LIFETIME_MS } },
    [],
    [
      'delay_mean_ms: from 2000 to 3000',
      `key_lifetime_ms: from ${LIFETIME_MS} to ${2 * LIFETIME_MS}`,
    ],
  ],
  [
    'an owner removed, with his node',
    { remove_owners: [c] },
    [],
    [
      `${c} is no owner any more`,
      'rule for changes: from 2 of 3 to 2 of 2',
      'node cccccccc… of cccccccc… leaves',
    ],
  ],
  [
    'a node removed, and its owner not',
    { remove_nodes: [c] },
    [],
    ['node cccccccc… of cccccccc… leaves'],
  ],
  [
    'a new owner',
    { invite: 1 },
    [nodeOf(d)],
    [
      `${d} becomes an owner`,
      'rule for changes: from 2 of 3 to 3 of 4',
      'node dddddddd… joins as mix of dddddddd…, weight 1',
    ],
  ],
  ['another rule', { rule: 'all' }, [], ['rule for changes: from 2 of 3 to all 3']],
  [
    'an owner who leaves',
    { remove_owners: [a], rule: 'all' },
    [],
    [
      `${a} is no owner any more`,
      'rule for changes: from 2 of 3 to all 2',
      'node aaaaaaaa… of aaaaaaaa… leaves',
      'alpha.example is no more in the mixnet: its mail travels as any other',
      'both.example is no more in the mixnet: its mail travels as any other',
    ],
  ],
];

for (const [what, wish, guests, lines] of WISHES) {
  test(`${what} is said as it is, and read by the others as it was meant`, (t) => {
    const applied = applyWish(ground, a, wish, guests);
    if (!applied.ok) return t.fail(applied.refused);
    t.deepEqual(
      describeChange(standing, applied.standing).map(({ text }) => text),
      lines,
    );
    const read = readChange(ground, bodyOf(applied.standing));
    return t.deepEqual(read.ok && describeChange(applied.standing, read.standing), []);
  });
}

test('a rule is kept in kind: all stay all, another count stays as far as it can', (t) => {
  t.is(ruleAfter('all', { remove_owners: [c] }), 'all');
  t.deepEqual(ruleAfter({ m: 3, n: 3 }, { remove_owners: [c] }), { m: 2, n: 2 });
  t.deepEqual(ruleAfter({ m: 1, n: 3 }, { remove_owners: [c] }), { m: 1, n: 2 });
  t.deepEqual(ruleAfter('all', { rule: 'more-than-half' }), { m: 2, n: 3 });
});

const REFUSED: readonly [string, ChangeWish, RegExp][] = [
  ['an owner who is none', { remove_owners: [d] }, /does not own/],
  ['a node that is none', { remove_nodes: [d] }, /has no node/],
  ['a node of nobody', { node: d, weight: 2 }, /has no node/],
  ['a domain that is not there', { remove_domains: ['beta.example'] }, /not served by aaaaaaaa/],
  ['no owners', { remove_owners: [a, b, c] }, /without owners/],
  ['no nodes', { remove_nodes: [a, b, c] }, /no valid list/],
  ['a rule of others', { rule: { m: 2, n: 4 } }, /rule does not count/],
  ['a domain of a mix', { node: c, add_domains: ['c.example'] }, /no gateway/],
  ['a domain that is none', { add_domains: ['c..example'] }, /no valid list/],
  ['a weight of nothing', { weight: 0 }, /no valid list/],
  ['a value of another name', { set: { ticks: 3 } }, /is none of delay_mean_ms/],
  ['a value beyond bounds', { set: { mixes_per_route: 17 } }, /no valid list/],
  ['a path that packets cannot carry', { set: { mixes_per_route: 9 } }, /HEADER_LEN|header/i],
  ['snapshots that outlive keys', { set: { key_lifetime_ms: 1000 } }, /2 × 1000 = 2000 ms/],
];

for (const [what, wish, refusal] of REFUSED) {
  test(`${what} is refused before anybody is asked`, (t) => {
    const applied = applyWish(ground, a, wish);
    t.regex(applied.ok ? '' : applied.refused, refusal);
  });
}

test('a domain that is new or moves wants its proof, what stays does not', (t) => {
  const applied = applyWish(ground, a, { add_domains: ['new.example', 'beta.example'] });
  t.deepEqual(applied.ok && newDomains(standing, applied.standing), [
    { domain: 'beta.example', peerId: a },
    { domain: 'new.example', peerId: a },
  ]);
});

test('new owners must sign, and the others by their rule', (t) => {
  const joined = applyWish(ground, a, { invite: 1, remove_owners: [b] }, [nodeOf(d)]);
  if (!joined.ok) return t.fail(joined.refused);
  t.deepEqual(addedOwners(standing, joined.standing), [d]);
  t.deepEqual(partiesOf(standing, joined.standing), {
    signers: [a, b, c, d],
    needed: 3,
    required: [d],
  });
  const same = applyWish(ground, a, { weight: 2 });
  return t.deepEqual(same.ok && partiesOf(standing, same.standing), {
    signers: [a, b, c],
    needed: 2,
    required: [],
  });
});

test('a composed text is refused by its reason', (t) => {
  const applied = applyWish(ground, a, { remove_owners: [c] });
  if (!applied.ok) return t.fail(applied.refused);
  const { standing: after } = applied;
  const reasonOf = (change: object, of: ChangeGround = ground, signers: string[] = []): string => {
    const draft = changeDraft(ground, { ...after, entry: { ...after.entry, ...change } });
    const read = readChange(of, bodyOf(after, draft, signers));
    return read.ok ? 'ok' : read.reason;
  };
  t.is(reasonOf({}), 'ok');
  t.is(reasonOf({ more: 1 }), 'log-malformed');
  t.is(reasonOf({ rule: { m: 3, n: 3 } }), 'log-malformed');
  t.is(reasonOf({ owners: [a, d], rule: 'all' }), 'change-unfit', 'b has a node still');
  t.is(reasonOf({ previous: '3'.repeat(64) }), 'consensus-not-last');
  t.is(reasonOf({}, { ...ground, logHead: '3'.repeat(64) }), 'consensus-not-last');
  t.is(reasonOf({}, { ...ground, mixnetId: '3'.repeat(64) }), 'change-foreign');
  t.is(reasonOf({}, { ...ground, lastConsensusId: '3'.repeat(64) }), 'change-foreign');
  t.is(reasonOf({ key_lifetime_ms: 1000 }), 'change-unfit');
  return t.is(reasonOf({}, ground, [a, b]), 'signers-differ');
});

function ruleAfter(rule: Standing['rule'], wish: ChangeWish): unknown {
  const applied = applyWish({ ...ground, standing: { ...standing, rule } }, a, wish);
  return applied.ok ? applied.standing.rule : applied.refused;
}

function nodeOf(peerId: string, more: Partial<LogNode> = {}): LogNode {
  return { peer_id: peerId, owner: peerId, roles: ['mix'], domains: [], weight: 1, ...more };
}

function bodyOf(after: Standing, draft = changeDraft(ground, after), signers: string[] = []) {
  return {
    data: draft.data,
    info: draft.info,
    meta: {
      accept: true,
      signers,
      negotiation_id: 'N'.repeat(43),
      round: 1,
      time: '2026-01-01T00:00:00Z',
    },
  };
}
