/** Owners who come and go: what a client accepts that walks a log from the mixnet id to its head. */
import test from 'ava';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { hashText } from '../../src/api/signed.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import type { LogEntry, Snapshot } from '../../src/mixnet/directory-texts.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import { readNodes, type DirectoryReason } from '../../src/mixnet/verify-nodes.ts';
import { agreeOnPaper, paperMixnet } from './signed-directory.ts';

const INFO = { resource: 'peer', operation: 'partial_update' };
/** Three owners, sorted, of whom two are needed; and two who are none yet. */
const founded = paperMixnet({ signed: () => null });
const [one, two, three] = founded.owners as [Identity, Identity, Identity];
const [guest, stranger] = [createIdentity(native), createIdentity(native)];
const firstRecord = founded.nodes.log[0] as ConsensusRecord;

interface Change {
  readonly owners?: readonly Identity[];
  /** As they stand there, whatever order or number. */
  readonly keys?: readonly string[];
  readonly rule?: unknown;
  readonly signers: readonly Identity[];
  /** Owners of the nodes; else they stay. */
  readonly nodesOf?: readonly Identity[];
}

/** The log after a list of changes, each on top of the one before, and the hash of its head. */
function logOf(changes: readonly Change[]): { log: ConsensusRecord[]; head: string } {
  const log = [firstRecord];
  let head = hashText(native, firstRecord.text);
  for (const { owners, keys = owners && keysOf(owners), rule, signers, nodesOf } of changes) {
    const { log: first } = (JSON.parse(firstRecord.text) as { data: { log: LogEntry } }).data;
    const entry = {
      ...first,
      previous: head,
      ...(nodesOf && { nodes: nodesOf.map(mixOf).toSorted(byId) }),
      ...(keys && { owners: keys }),
      ...(rule !== undefined && { rule }),
    };
    const record = agreeOnPaper(
      { data: { peer_id: founded.mixnetId, log: entry }, info: INFO },
      signers,
    );
    log.push(record);
    head = hashText(native, record.text);
  }
  return { log, head };
}

function snapshotBy(head: string, signers: readonly Identity[]): ConsensusRecord {
  const { snapshot } = (JSON.parse(founded.nodes.snapshot.text) as { data: { snapshot: Snapshot } })
    .data;
  const data = { peer_id: founded.mixnetId, snapshot: { ...snapshot, log_head: head } };
  return agreeOnPaper({ data, info: INFO }, signers);
}

/** What a client says of the mixnet after changes and, where somebody signed one, a snapshot. */
function reasonFor(changes: readonly Change[], snapshotSigners?: readonly Identity[]): string {
  const { log, head } = logOf(changes);
  const snapshot = snapshotSigners ? snapshotBy(head, snapshotSigners) : null;
  const nodes = { ...founded.nodes, log, snapshot };
  const reasons = [native, portable].map((primitives) => {
    const read = snapshotSigners
      ? readNodes(nodes, founded.mixnetId, primitives)
      : readFoundation(nodes, founded.mixnetId, primitives);
    return read.ok ? 'ok' : read.reason;
  });
  return [...new Set(reasons)].join();
}

const joins: Change = {
  owners: [one, two, three, guest],
  rule: { m: 3, n: 4 },
  signers: [one, two, guest],
};
const leaves: Change = {
  owners: [one, two],
  rule: 'all',
  signers: [one, two],
  nodesOf: [one, two],
};

const CHANGES: readonly [string, readonly Change[], DirectoryReason | 'ok'][] = [
  ['a new owner who signed, by the rule of before', [joins], 'ok'],
  ['a new owner who did not sign', [{ ...joins, signers: [one, two] }], 'owner-unsigned'],
  [
    'a new owner whose signature counts for the rule',
    [{ ...joins, signers: [one, guest] }],
    'rule-not-met',
  ],
  [
    'a new owner and a stranger',
    [{ ...joins, signers: [one, two, guest, stranger] }],
    'signer-unknown',
  ],
  ['an owner removed without his word', [leaves], 'ok'],
  ['an owner who removes another alone', [{ ...leaves, signers: [one] }], 'rule-not-met'],
  ['an owner who signs his own removal', [{ ...leaves, signers: [one, three] }], 'ok'],
  ['no owners left', [{ owners: [], rule: 'all', signers: [one, two] }], 'log-malformed'],
  ['owners without their rule', [{ owners: [one, two], signers: [one, two] }], 'log-malformed'],
  ['a rule without owners', [{ rule: 'all', signers: [one, two] }], 'log-malformed'],
  [
    'a rule of more than there are',
    [{ owners: [one, two, three], rule: { m: 4, n: 3 }, signers: [one, two] }],
    'log-malformed',
  ],
  [
    'a rule that counts others than the owners',
    [{ owners: [one, two, three], rule: { m: 2, n: 4 }, signers: [one, two] }],
    'log-malformed',
  ],
  [
    'an owner twice',
    [{ keys: [one.peerId, one.peerId], rule: 'all', signers: [one, two] }],
    'log-malformed',
  ],
  [
    'owners out of order',
    [{ keys: [two.peerId, one.peerId], rule: 'all', signers: [one, two] }],
    'log-malformed',
  ],
  ['a node whose owner was removed', [{ ...leaves, nodesOf: [one, two, three] }], 'log-malformed'],
  ['a node of a new owner', [{ ...joins, nodesOf: [one, two, guest] }], 'ok'],
  [
    'a node of a new owner who was not added',
    [{ signers: [one, two], nodesOf: [guest] }],
    'log-malformed',
  ],
  ['a new owner who signs the next entry', [joins, { signers: [two, three, guest] }], 'ok'],
  [
    'an entry by the founding rule after it has changed',
    [joins, { signers: [one, two] }],
    'rule-not-met',
  ],
  [
    'a removed owner who signs on',
    [leaves, { nodesOf: [one, two], signers: [one, two, three] }],
    'signer-unknown',
  ],
  [
    'an owner who comes back without his word',
    [leaves, { ...joins, signers: [one, two, guest] }],
    'owner-unsigned',
  ],
  [
    'an owner who comes back and has signed',
    [leaves, { ...joins, signers: [one, two, three, guest] }],
    'ok',
  ],
];

for (const [what, changes, reason] of CHANGES) {
  test(`${what}: ${reason}`, (t) => {
    t.is(reasonFor(changes), reason);
  });
}

test('a snapshot needs the owners and the rule of the entry that it goes by', (t) => {
  t.is(reasonFor([joins], [one, two, guest]), 'ok');
  t.is(reasonFor([joins], [one, two]), 'rule-not-met');
  t.is(reasonFor([joins], [one, two, three, stranger]), 'signer-unknown');
  t.is(reasonFor([leaves], [one, two]), 'ok');
  t.is(reasonFor([leaves], [one, three]), 'signer-unknown');
});

test('a directory shows the owners and the rule of the entry that its snapshot goes by', (t) => {
  const before = logOf([]).head;
  const { log, head } = logOf([joins]);
  const shown = [before, head].map((by) => {
    const signers = by === head ? [one, two, guest] : [one, two];
    const nodes = { ...founded.nodes, log, snapshot: snapshotBy(by, signers) };
    const read = readNodes(nodes, founded.mixnetId, native);
    return read.ok && [read.directory.owners, read.directory.rule];
  });
  t.deepEqual(shown, [
    [keysOf([one, two, three]), { m: 2, n: 3 }],
    [keysOf([one, two, three, guest]), { m: 3, n: 4 }],
  ]);
});

test('what the log says last holds for who agrees on the next text', (t) => {
  const { log } = logOf([joins, { ...leaves, signers: [one, two, guest] }]);
  const read = readFoundation({ ...founded.nodes, log }, founded.mixnetId, native);
  if (!read.ok) return t.fail(read.reason);
  const { present, terms } = read.foundation;
  t.deepEqual([present.owners, present.rule], [keysOf([one, two]), 'all']);
  t.deepEqual([terms.owners, terms.rule], [keysOf([one, two, three]), { m: 2, n: 3 }]);
  return t.is(read.foundation.ownership.size, 3);
});

function keysOf(owners: readonly Identity[]): string[] {
  return owners.map((owner) => owner.peerId).toSorted();
}

function mixOf({ peerId }: Identity): LogEntry['nodes'][number] {
  return { peer_id: peerId, owner: peerId, roles: ['mix'], domains: [], weight: 1 };
}

function byId(left: { readonly peer_id: string }, right: { readonly peer_id: string }): number {
  return left.peer_id < right.peer_id ? -1 : 1;
}
