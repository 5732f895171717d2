import test from 'ava';
import type { ContributionBody } from '../../src/api/contribution.ts';
import { combinedPeer } from '../../src/api/peer.ts';
import { hashText } from '../../src/api/signed.ts';
import { proveInvitation, readInvitation, writeInvitation } from '../../src/client/invitation.ts';
import type { Meeting, Statement } from '../../src/client/meeting.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import type { LogEntry } from '../../src/mixnet/directory-texts.ts';
import {
  composeFounding,
  findProposal,
  joinedPeers,
  proposeFounding,
  reviewFounding,
  type Proposal,
} from '../../src/wizard/founding.ts';
import {
  composeEntry,
  entryDraft,
  mixesBetween,
  nodeOf,
  reviewEntry,
  reviewNodes,
  wishNode,
  type Ground,
} from '../../src/wizard/nodes.ts';
import type { Draft } from '../../src/client/agree.ts';

const ID = 'F'.repeat(43);
const NEXT = 'G'.repeat(43);
const [coordinator, ours, other, stranger] = Array.from(
  { length: 4 },
  () => createIdentity(native).peerId,
) as [string, string, string, string];
const invitations = ['A', 'B'].map((letter) => ({
  negotiationId: ID,
  token: letter.repeat(42) + 'A',
}));
const [invitation] = invitations as [(typeof invitations)[0]];
const params = { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 2048 } as const;
const founding = proposeFounding(
  native,
  coordinator,
  { mixnetName: 'm', params },
  invitations,
  NEXT,
);

function statement(signer: string, draft: Draft, meta: object = {}): Statement {
  const body: ContributionBody = {
    data: draft.data,
    info: draft.info,
    meta: {
      accept: false,
      signers: [],
      negotiation_id: ID,
      round: 1,
      time: '2026-03-01T12:00:00.000Z',
      ...draft.meta,
      ...meta,
    },
  };
  return { id: 1, signer, text: '', body, latest: true, accepts: body.meta.accept };
}

function meetingOf(...statements: Statement[]): Meeting {
  return { negotiationId: ID, consensus: null, statements };
}

function joining(peerId: string, index: number): Statement {
  const proof = proveInvitation(native, invitations[index] as (typeof invitations)[0], peerId);
  return statement(peerId, { data: founding.data, info: founding.info }, { invitation: proof });
}

const proposed = statement(coordinator, founding);
const allJoined = meetingOf(proposed, joining(ours, 0), joining(other, 1));
const owners = [coordinator, ours, other];

test('an invitation reads as it was written, and nothing else does', (t) => {
  t.deepEqual(readInvitation(` ${writeInvitation(invitation)}\n`), invitation);
  for (const text of ['', '|', `${ID}|`, `${ID}|${'A'.repeat(42)}B`, `${ID}|${ID}|${ID}`]) {
    t.is(readInvitation(text), null, text);
  }
});

test('who has joined is known by the tokens, each serving one key', (t) => {
  t.deepEqual(joinedPeers(native, allJoined, invitations), [ours, other]);
  const stolen = statement(stranger, founding, {
    invitation: proveInvitation(native, invitation, ours),
  });
  t.deepEqual(joinedPeers(native, meetingOf(proposed, stolen), invitations), []);
  const twice = meetingOf(proposed, joining(ours, 0), joining(other, 0));
  t.deepEqual(joinedPeers(native, twice, invitations), [ours]);
});

test('a proposal is believed from the one who holds our token, and from nobody else', (t) => {
  t.is(findProposal(native, allJoined, invitation)?.terms.coordinator, coordinator);
  t.is(findProposal(native, meetingOf(statement(stranger, founding)), invitation), null);
  t.is(findProposal(native, meetingOf(joining(other, 1)), invitation), null);
  const elsewhere = { ...invitation, token: `${'C'.repeat(42)}A` };
  t.is(findProposal(native, allJoined, elsewhere), null);
});

function foundingBody(
  change: (terms: Parameters<typeof combinedPeer>[1]) => Parameters<typeof combinedPeer>[1],
  meta: object = {},
): ContributionBody {
  const composed = composeFounding(native, founding, owners);
  const terms = change(
    JSON.parse((composed.data as { key_data: string }).key_data) as Parameters<
      typeof combinedPeer
    >[1],
  );
  const hash = hashText(native, NEXT);
  const draft = { data: combinedPeer(native, terms), info: composed.info };
  return statement(coordinator, draft, {
    accept: true,
    signers: terms.owners,
    next_negotiation_hash: hash,
    ...meta,
  }).body;
}

const FOUNDINGS: readonly [string, ContributionBody, string | null][] = [
  ['as it was proposed', foundingBody((terms) => terms), null],
  ['by another name', foundingBody((terms) => ({ ...terms, name: 'n' })), 'terms-changed'],
  ['by another rule', foundingBody((terms) => ({ ...terms, rule: 'all' })), 'terms-changed'],
  [
    'with other parameters',
    foundingBody((terms) => ({ ...terms, params: { ...params, BODY_LEN: 1024 } })),
    'terms-changed',
  ],
  [
    'without us',
    foundingBody((terms) => ({ ...terms, owners: swap(ours, stranger) })),
    'owner-missing',
  ],
  [
    'with one who never spoke',
    foundingBody((terms) => ({ ...terms, owners: swap(other, stranger) })),
    'owner-silent',
  ],
  [
    'of another backend',
    foundingBody((terms) => ({ ...terms, backend: 'ZEUS' })),
    'founding-malformed',
  ],
  [
    'with other signers',
    foundingBody((terms) => terms, { signers: [coordinator, ours].toSorted() }),
    'signers-differ',
  ],
  [
    'with another next negotiation',
    foundingBody((terms) => terms, { next_negotiation_hash: 'a'.repeat(64) }),
    'next-negotiation-differs',
  ],
];

for (const [what, body, reason] of FOUNDINGS) {
  test(`a founding text ${what}: ${reason ?? 'signed'}`, (t) => {
    const proposal = findProposal(native, allJoined, invitation) as Proposal;
    t.is(reviewFounding(native, body, allJoined, proposal, ours), reason);
  });
}

const ground: Ground = {
  mixnetId: 'a'.repeat(64),
  rule: 'all' as const,
  foundingConsensusId: 'b'.repeat(64),
  owners: owners.toSorted(),
  coordinator,
  params,
};
const terms = {
  traffic: {
    delay_mean_ms: 1,
    ticks_per_second: 1,
    loops_per_second: 0.5,
    mixes_per_route: 1,
    expiry_ms: 60_000,
  },
  snapshot_lifetime_ms: 60_000,
  key_lifetime_ms: 60_000,
};
const own = nodeOf(ours, { roles: ['gateway'], domains: ['Alpha.example'] });
const wishes = meetingOf(
  statement(
    coordinator,
    wishNode(ground, nodeOf(coordinator, { roles: ['mix'], domains: [] }), terms),
    {
      next_negotiation_id: NEXT,
    },
  ),
  statement(ours, wishNode(ground, own)),
  statement(other, wishNode(ground, nodeOf(other, { roles: ['mix'], domains: [] }))),
);

const entry = composeEntry(wishes, ground, terms) as LogEntry;
/** The coordinator has proposed all wishes together, and we have accepted that. */
const accepted = meetingOf(
  ...wishes.statements,
  statement(coordinator, entryDraft(ground, entry), { proposes: true, next_negotiation_id: NEXT }),
  statement(ours, entryDraft(ground, entry), { answers: hashText(native, '') }),
);

function nodesBody(change: (log: LogEntry) => object, meta: object = {}): ContributionBody {
  const composed = entryDraft(ground, entry);
  const { peer_id, log } = composed.data as { peer_id: string; log: LogEntry };
  return statement(
    coordinator,
    { data: { peer_id, log: change(log) }, info: composed.info },
    {
      accept: true,
      signers: ground.owners,
      next_negotiation_hash: hashText(native, NEXT),
      ...meta,
    },
  ).body;
}

const ENTRIES: readonly [string, ContributionBody, string | null][] = [
  ['of all wishes', nodesBody((log) => log), null],
  [
    'with our domain taken',
    nodesBody((log) => withNode(log, ours, { domains: [] })),
    'own-node-changed',
  ],
  [
    'with our role changed',
    nodesBody((log) => withNode(log, ours, { roles: ['gateway', 'mix'] })),
    'own-node-changed',
  ],
  [
    'with more than another asked for',
    nodesBody((log) => withNode(log, other, { weight: 9 })),
    'node-unasked',
  ],
  [
    'without one node',
    nodesBody((log) => ({ ...log, nodes: log.nodes.filter((node) => node.peer_id !== other) })),
    'nodes-miscounted',
  ],
  [
    'with a node of a stranger',
    nodesBody((log) => withNode(log, other, { owner: stranger })),
    'node-of-stranger',
  ],
  [
    'with other traffic',
    nodesBody((log) => ({ ...log, traffic: { ...log.traffic, ticks_per_second: 2 } })),
    'entry-unaccepted',
  ],
  [
    'with another lifetime',
    nodesBody((log) => ({ ...log, snapshot_lifetime_ms: 61_000 })),
    'entry-unaccepted',
  ],
  [
    'after something else',
    nodesBody((log) => ({ ...log, previous: 'c'.repeat(64) })),
    'log-broken',
  ],
  ['with more than belongs there', nodesBody((log) => ({ ...log, more: 1 })), 'log-malformed'],
  ['with other signers', nodesBody((log) => log, { signers: [ours] }), 'signers-differ'],
  [
    'with another next negotiation',
    nodesBody((log) => log, { next_negotiation_hash: 'a'.repeat(64) }),
    'next-negotiation-differs',
  ],
];

for (const [what, body, reason] of ENTRIES) {
  test(`a log entry ${what}: ${reason ?? 'signed'}`, (t) => {
    t.is(reviewNodes(native, body, accepted, ground, own), reason);
  });
}

test('a path that the parameters cannot carry is not signed', (t) => {
  const short = { ...ground, params: { ...params, HEADER_LEN: 64 } };
  t.is(
    reviewNodes(
      native,
      nodesBody((log) => log),
      accepted,
      short,
      own,
    ),
    'path-too-long',
  );
});

test('an entry that was proposed and that we have not accepted is not signed', (t) => {
  const asked = meetingOf(...accepted.statements.slice(0, -1));
  const body = nodesBody((log) => log);
  t.is(reviewNodes(native, body, asked, ground, own), 'entry-unaccepted');
  t.is(reviewNodes(native, body, wishes, ground, own), 'nodes-unproposed');
});

test('the first entry goes on without owners only as far as the rule allows', (t) => {
  const fewer = composeEntry(wishes, { ...ground, rule: { m: 2, n: 3 } }, terms, [other]);
  if (!fewer) return t.fail();
  t.deepEqual(fewer.nodes.map((node) => node.peer_id).toSorted(), [coordinator, ours].toSorted());
  const byTwo = { ...ground, rule: { m: 2, n: 3 } };
  t.is(reviewEntry(fewer, wishes, byTwo, own, [other]), null);
  t.is(reviewEntry(fewer, wishes, byTwo, own, []), 'nodes-miscounted');
  return t.is(reviewEntry(fewer, wishes, ground, own, [other]), 'rule-not-met');
});

test('nothing is composed before all have named their nodes', (t) => {
  t.is(composeEntry(meetingOf(...wishes.statements.slice(1)), ground, terms), null);
});

test('a node that cannot stand in the log is refused with the reason', (t) => {
  for (const domains of [['a b'], ['bücher.example'], ['.example'], ['a..b']]) {
    t.throws(() => nodeOf(ours, { roles: ['gateway'], domains }), { code: 'config-invalid' });
  }
  t.throws(() => nodeOf(ours, { roles: ['mix'], domains: ['a.example'] }), {
    code: 'config-invalid',
    message: /no gateway/,
  });
});

test('mixes between gateways are counted by owner, without the two ends', (t) => {
  t.is(mixesBetween([both(ours), both(other), mix(coordinator), mix(stranger)]), 2);
  t.is(mixesBetween([both(ours), both(other)]), 0);
  t.is(mixesBetween([mix(ours), mix(other)]), 2);
});

function swap(one: string, another: string): string[] {
  return owners.map((owner) => (owner === one ? another : owner)).toSorted();
}

function withNode(log: LogEntry, peerId: string, change: object): object {
  return {
    ...log,
    nodes: log.nodes.map((node) => (node.peer_id === peerId ? { ...node, ...change } : node)),
  };
}

function mix(peerId: string): LogEntry['nodes'][0] {
  return nodeOf(peerId, { roles: ['mix'], domains: [] });
}

function both(peerId: string): LogEntry['nodes'][0] {
  return nodeOf(peerId, { roles: ['mix', 'gateway'], domains: [] });
}
