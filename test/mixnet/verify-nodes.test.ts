import test from 'ava';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { CLOCK_SKEW_MS } from '../../src/api/signed.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { exitForDomain } from '../../src/mixnet/directory.ts';
import { verifyNodes, type DirectoryReason } from '../../src/mixnet/verify-nodes.ts';
import {
  agreeOnPaper,
  createOwners,
  LIFETIME_MS,
  NOW_MS,
  paperMixnet,
  resealed,
  type PaperMixnet,
  type Wishes,
} from './signed-directory.ts';

type Nodes = PaperMixnet['nodes'];
const honest = paperMixnet();
const other = paperMixnet();
const stranger = createIdentity(native);

function reasonFor(nodes: unknown, mixnetId = honest.mixnetId, nowMs = NOW_MS): string {
  const verified = verifyNodes(nodes, mixnetId, native, nowMs);
  return verified.ok ? 'ok' : verified.reason;
}

test('an honest nodes.json verifies with both sets of primitives', (t) => {
  for (const primitives of [native, portable]) {
    t.true(verifyNodes(honest.nodes, honest.mixnetId, primitives, NOW_MS).ok);
  }
});

test('it still verifies after a journey as JSON text', (t) => {
  t.is(reasonFor(JSON.parse(JSON.stringify(honest.nodes))), 'ok');
});

const records = ['founding', 'log', 'snapshot'] as const;

function withRecord(
  nodes: Nodes,
  which: (typeof records)[number],
  change: (record: ConsensusRecord) => unknown,
): unknown {
  if (which !== 'log') return { ...nodes, [which]: change(nodes[which]) };
  return { ...nodes, log: nodes.log.map((record) => change(record)) };
}

/** One character of one field changed, to another that keeps the field's form. */
const FLIPS: readonly {
  readonly field: string;
  readonly change: (record: ConsensusRecord) => ConsensusRecord;
  readonly reason: DirectoryReason;
}[] = [
  {
    field: 'signature',
    change: (record) => resealed(withSigning(record, 'signature', flip)),
    reason: 'signature-invalid',
  },
  {
    field: 'signature, the consensus id left as it was',
    change: (record) => withSigning(record, 'signature', flip),
    reason: 'consensus-id-wrong',
  },
  {
    field: 'consensus id',
    change: (record) => ({ ...record, consensus: flip(record.consensus) }),
    reason: 'consensus-id-wrong',
  },
  {
    field: 'timestamp',
    change: (record) => ({ ...record, timestamp: record.timestamp.replace('2026', '2027') }),
    reason: 'consensus-id-wrong',
  },
  {
    field: 'negotiation id',
    change: (record) => resealed({ ...record, id: flip(record.id) }),
    reason: 'negotiation-foreign',
  },
  {
    field: 'text',
    change: (record) => resealed({ ...record, text: record.text.replace('2026', '2027') }),
    reason: 'signature-invalid',
  },
  {
    field: 'text, made no JSON',
    change: (record) => resealed({ ...record, text: record.text.slice(1) }),
    reason: 'text-malformed',
  },
  {
    field: 'text, with a space that canonical text has not',
    change: (record) => resealed({ ...record, text: record.text.replace(':', ': ') }),
    reason: 'text-malformed',
  },
  {
    field: 'text, accept made false',
    change: (record) =>
      resealed({ ...record, text: record.text.replace('"accept":true', '"accept":false') }),
    reason: 'not-accepted',
  },
  {
    field: 'list of signings, one removed',
    change: (record) => resealed({ ...record, signings: record.signings.slice(1) }),
    reason: 'signer-missing',
  },
  {
    field: 'list of signings, all removed',
    change: (record) => ({ ...record, signings: [] }),
    reason: 'record-malformed',
  },
  {
    field: 'status',
    change: (record) => ({ ...record, status: 'OPEN' as 'DONE' }),
    reason: 'record-malformed',
  },
];

for (const { field, change, reason } of FLIPS) {
  for (const which of records) {
    test(`${which}: changed ${field} is refused as ${reason}`, (t) => {
      t.is(reasonFor(withRecord(honest.nodes, which, change)), reason);
      t.is(reasonFor(withRecord(honest.nodes, which, (record) => record)), 'ok');
    });
  }
}

test('a signer swapped for another key leaves the named one without a signature', (t) => {
  for (const which of records) {
    t.is(reasonFor(withRecord(honest.nodes, which, swapSigner)), 'signer-missing', which);
  }
});

const MALFORMED: readonly [string, unknown, DirectoryReason][] = [
  ['null', null, 'directory-malformed'],
  ['a list', [], 'directory-malformed'],
  ['text', JSON.stringify(honest.nodes), 'directory-malformed'],
  ['nothing in it', {}, 'directory-malformed'],
  ['a field too many', { ...honest.nodes, more: 1 }, 'directory-malformed'],
  ['no log', { ...honest.nodes, log: [] }, 'log-missing'],
  ['no snapshot', { ...honest.nodes, snapshot: null }, 'snapshot-missing'],
  ['another mixnet’s id', { ...honest.nodes, mixnet: other.mixnetId }, 'mixnet-mismatch'],
  ['no founding', { ...honest.nodes, founding: null }, 'record-malformed'],
];

for (const [what, nodes, reason] of MALFORMED) {
  test(`nodes.json with ${what} is refused as ${reason}`, (t) => {
    t.is(reasonFor(nodes), reason);
  });
}

test('a text cut anywhere is no JSON, or is refused', (t) => {
  const text = JSON.stringify(honest.nodes);
  for (let length = 0; length < text.length; length += 211) {
    t.throws(() => JSON.parse(text.slice(0, length)));
  }
});

test('another mixnet’s parts, each signed well, do not fit here', (t) => {
  t.is(reasonFor({ ...honest.nodes, founding: other.nodes.founding }), 'founding-mismatch');
  t.is(reasonFor({ ...honest.nodes, log: other.nodes.log }), 'change-foreign');
  t.is(reasonFor({ ...honest.nodes, snapshot: other.nodes.snapshot }), 'change-foreign');
  t.is(reasonFor({ ...other.nodes, mixnet: honest.mixnetId }), 'founding-mismatch');
});

test('the parts of one mixnet cannot stand for each other', (t) => {
  const { founding, log, snapshot } = honest.nodes;
  t.is(reasonFor({ ...honest.nodes, founding: snapshot }), 'founding-mismatch');
  t.is(reasonFor({ ...honest.nodes, log: [snapshot] }), 'log-malformed');
  t.is(reasonFor({ ...honest.nodes, log: [founding] }), 'change-foreign');
  t.is(reasonFor({ ...honest.nodes, snapshot: log[0] }), 'snapshot-malformed');
  t.is(reasonFor({ ...honest.nodes, log: [...log, ...log] }), 'log-broken');
});

const SIGNED_WRONG: readonly [string, Wishes, DirectoryReason][] = [
  ['a founding without one owner', { foundingSigners: butOne }, 'rule-not-met'],
  ['a founding with a stranger', { foundingSigners: andStranger }, 'signer-unknown'],
  ['a log entry by one of three', { logSigners: onlyOne }, 'rule-not-met'],
  ['a log entry by a stranger too', { logSigners: andStranger }, 'signer-unknown'],
  ['a snapshot by one of three', { snapshotSigners: onlyOne }, 'rule-not-met'],
  ['a snapshot by a stranger too', { snapshotSigners: andStranger }, 'signer-unknown'],
  [
    'a snapshot by two, the rule being all',
    { rule: 'all', snapshotSigners: butOne },
    'rule-not-met',
  ],
  ['a header too short for the path', { headerLen: 160 }, 'path-too-long'],
  [
    'a snapshot that outlives its keys',
    {
      log: (text) => ({
        ...text,
        key_lifetime_ms: Math.floor(text.snapshot_lifetime_ms / 2) - 1,
      }),
    },
    'lifetimes-unfit',
  ],
  [
    'a log that follows another',
    { log: (text) => ({ ...text, previous: '0'.repeat(64) }) },
    'log-broken',
  ],
  [
    'a node of somebody who is no owner',
    { log: (text) => withNode(text, (node) => ({ ...node, owner: stranger.peerId })) },
    'log-malformed',
  ],
  [
    'a domain served twice',
    { log: (text) => withNode(text, (node) => ({ ...node, domains: ['alpha.example'] })) },
    'log-malformed',
  ],
  [
    'a domain in upper case',
    { log: (text) => withNode(text, (node) => ({ ...node, domains: ['Beta.example'] })) },
    'log-malformed',
  ],
  [
    'a domain that is no A-label',
    { log: (text) => withNode(text, (node) => ({ ...node, domains: ['bücher.example'] })) },
    'log-malformed',
  ],
  [
    'a mix that serves a domain',
    { log: (text) => withNode(text, (node) => ({ ...node, roles: ['mix'] })) },
    'log-malformed',
  ],
  [
    'nodes out of order',
    { log: (text) => ({ ...text, nodes: text.nodes.toReversed() }) },
    'log-malformed',
  ],
  ['an unknown field in the log', { log: (text) => ({ ...text, more: 1 }) }, 'log-malformed'],
  [
    'a snapshot of another log',
    { snapshot: (text) => ({ ...text, log_head: '0'.repeat(64) }) },
    'snapshot-log-mismatch',
  ],
  [
    'other traffic than agreed',
    { snapshot: (text) => ({ ...text, traffic: { ...text.traffic, delay_mean_ms: 1 } }) },
    'snapshot-traffic-mismatch',
  ],
  [
    'a snapshot that lives too long',
    {
      snapshot: (text) => ({
        ...text,
        valid_until: new Date(NOW_MS + LIFETIME_MS + 1).toISOString(),
      }),
    },
    'snapshot-lifetime-mismatch',
  ],
  [
    'a snapshot that ends before it begins',
    { snapshot: (text) => ({ ...text, valid_until: text.valid_from }) },
    'snapshot-malformed',
  ],
  [
    'a snapshot without a number',
    { snapshot: (text) => ({ ...text, number: 0 }) },
    'snapshot-malformed',
  ],
  [
    'an entry twice',
    { snapshot: (text) => ({ ...text, entries: [...text.entries, text.entries[0]] }) },
    'entry-repeated',
  ],
  [
    'an entry for another number',
    { entry: (entry) => ({ ...entry, number: 2 }) },
    'entry-number-mismatch',
  ],
  [
    'an entry for another mixnet',
    { entry: (entry) => ({ ...entry, mixnet: other.mixnetId }) },
    'entry-foreign',
  ],
  [
    'an entry of a stranger',
    { entry: (entry) => ({ ...entry, peer_id: stranger.peerId }) },
    'entry-foreign',
  ],
  [
    'an entry with a flipped signature',
    { signed: (entry) => ({ ...entry, signature: flip(entry.signature) }) },
    'entry-signature-invalid',
  ],
  [
    'an entry with another URL',
    { signed: (entry) => ({ ...entry, controller_url: 'http://127.0.0.1:8001/' }) },
    'entry-signature-invalid',
  ],
  [
    'an entry whose pause was changed',
    { signed: (entry) => ({ ...entry, paused: true }) },
    'entry-signature-invalid',
  ],
  [
    'an entry with another key',
    {
      signed: (entry) => ({
        ...entry,
        endpoints: entry.endpoints.map((one) => ({ ...one, public: `09${'0'.repeat(62)}` })),
      }),
    },
    'entry-signature-invalid',
  ],
  [
    'a low-order key',
    {
      entry: (entry) => ({
        ...entry,
        endpoints: entry.endpoints.map((one) => ({ ...one, public: '0'.repeat(64) })),
      }),
    },
    'entry-key-malformed',
  ],
  [
    'a key of another group',
    {
      entry: (entry) => ({
        ...entry,
        endpoints: entry.endpoints.map((one) => ({ ...one, public: '02'.repeat(29) })),
      }),
    },
    'entry-key-malformed',
  ],
];

for (const [what, wishes, reason] of SIGNED_WRONG) {
  test(`${what}, signed by its owners, is refused as ${reason}`, (t) => {
    const mixnet = paperMixnet(wishes);
    t.is(reasonFor(mixnet.nodes, mixnet.mixnetId), reason);
  });
}

test('two of three are more than half', (t) => {
  const mixnet = paperMixnet({ snapshotSigners: butOne, logSigners: butOne });
  t.is(reasonFor(mixnet.nodes, mixnet.mixnetId), 'ok');
});

test('a swapped owner makes another mixnet', (t) => {
  const owners = [...createOwners(2), stranger].toSorted((left, right) =>
    left.peerId < right.peerId ? -1 : 1,
  );
  const swapped = paperMixnet({}, owners);
  t.not(swapped.mixnetId, honest.mixnetId);
  t.is(reasonFor({ ...swapped.nodes, mixnet: honest.mixnetId }), 'founding-mismatch');
});

test('a snapshot counts from five minutes before its start to its last millisecond', (t) => {
  t.is(reasonAt(NOW_MS - CLOCK_SKEW_MS), 'ok');
  t.is(reasonAt(NOW_MS - CLOCK_SKEW_MS - 1), 'directory-not-yet-valid');
  t.is(reasonAt(NOW_MS + LIFETIME_MS - 1), 'ok');
  t.is(reasonAt(NOW_MS + LIFETIME_MS), 'directory-expired');
});

test('a second log entry follows the first, and the snapshot may still go by the first', (t) => {
  const first = JSON.parse((honest.nodes.log[0] as ConsensusRecord).text) as {
    data: { log: object };
  };
  const previous = Buffer.from(
    native.sha256(Buffer.from((honest.nodes.log[0] as ConsensusRecord).text)),
  ).toString('hex');
  const second = agreeOnPaper(
    {
      data: { peer_id: honest.mixnetId, log: { ...first.data.log, previous } },
      info: { resource: 'peer', operation: 'partial_update' },
    },
    honest.owners,
  );
  t.is(reasonFor({ ...honest.nodes, log: [...honest.nodes.log, second] }), 'ok');
  t.is(reasonFor({ ...honest.nodes, log: [second] }), 'log-broken');
  t.is(reasonFor({ ...honest.nodes, log: [second, ...honest.nodes.log] }), 'log-broken');
});

function flip(text: string): string {
  return (text.startsWith('a') ? 'b' : 'a') + text.slice(1);
}

function withSigning(
  record: ConsensusRecord,
  field: 'signature',
  change: (text: string) => string,
): ConsensusRecord {
  const signings = record.signings.map((signing, index) =>
    index === 0 ? { ...signing, [field]: change(signing[field]) } : signing,
  );
  return { ...record, signings };
}

function withNode<Log extends { readonly nodes: readonly object[] }>(
  log: Log,
  change: (node: Log['nodes'][number]) => object,
): object {
  return { ...log, nodes: log.nodes.map((node, index) => (index === 1 ? change(node) : node)) };
}

function sorted<Signing extends { signer_key_id: string }>(signings: Signing[]): Signing[] {
  return signings.toSorted((left, right) => (left.signer_key_id < right.signer_key_id ? -1 : 1));
}

function onlyOne(owners: readonly Identity[]): readonly Identity[] {
  return owners.slice(0, 1);
}

function butOne(owners: readonly Identity[]): readonly Identity[] {
  return owners.slice(1);
}

function andStranger(owners: readonly Identity[]): readonly Identity[] {
  return [...owners, stranger];
}

function swapSigner(record: ConsensusRecord): ConsensusRecord {
  const [first, ...rest] = record.signings as [ConsensusRecord['signings'][number]];
  const swapped = { ...first, signer_key_id: stranger.peerId };
  return resealed({ ...record, signings: sorted([swapped, ...rest]) });
}

function reasonAt(nowMs: number): string {
  return reasonFor(honest.nodes, honest.mixnetId, nowMs);
}

/** URLs that the nodes sign, and which of them nobody posts to. */
const URLS: readonly (readonly [string, readonly string[], readonly (string | undefined)[]])[] = [
  ['all on one host', ['http://127.0.0.1:1/', 'http://[::1]:2/', 'http://localhost:3/'], []],
  [
    'one in plain HTTP',
    ['https://a.example/', 'http://b.example/', 'https://c.example/'],
    [undefined, 'url-insecure'],
  ],
  [
    'one that leads everybody to his own host',
    ['https://127.0.0.1:8000/', 'https://b.example/', 'https://c.example/'],
    ['url-loopback'],
  ],
  [
    'one in plain HTTP among those on one host',
    ['http://127.0.0.1:1/', 'http://192.0.2.1/', 'http://127.0.0.1:3/'],
    ['url-loopback', 'url-insecure', 'url-loopback'],
  ],
];
for (const [what, urls, leftOut] of URLS) {
  test(`with ${what}, those nodes alone are left out, by a name, and the snapshot holds`, (t) => {
    let count = 0;
    const made = paperMixnet({
      entry: (entry) => ({ ...entry, controller_url: urls[count++] ?? '' }),
    });
    const verified = verifyNodes(made.nodes, made.mixnetId, native, NOW_MS);
    if (!verified.ok) return t.fail(verified.reason);
    const { nodes } = verified.directory;
    t.deepEqual(
      nodes.map((node) => node.leftOut),
      urls.map((_, index) => leftOut[index]),
    );
    for (const node of nodes) t.is(node.endpoints.length, node.leftOut ? 0 : 1);
    return t.is(exitForDomain(verified.directory, 'alpha.example')?.peerId, nodes[0]?.peerId);
  });
}
