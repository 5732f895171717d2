import test from 'ava';
import { knownAfter } from '../../src/mixer/known-nodes.ts';
import type { LogNode } from '../../src/mixnet/directory-texts.ts';
import { madeDirectory, NOW_MS } from '../mixnet/made-directory.ts';

const [a, b, c] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const directory = madeDirectory([], { snapshotLifetimeMs: 1_000_000 });
/** Snapshot's lifetime, and 20 mean delays of 2 s at three mixes and the exit. */
const GRACE_MS = 1_000_000 + 4 * 40_000;

test('who joins is known at once, and nothing is written where nothing changes', (t) => {
  t.deepEqual(knownAfter({ nodes: [b] }, head(a, b), directory, NOW_MS), {
    nodes: [a, b],
    leaving: {},
  });
  t.is(knownAfter({ nodes: [a, b] }, head(a, b), directory, NOW_MS), null);
});

test('who leaves is known until what snapshots have made that name him has passed', (t) => {
  const left = knownAfter({ nodes: [a, b] }, head(a, c), directory, NOW_MS);
  t.deepEqual(left, { nodes: [a, b, c], leaving: { [b]: NOW_MS + GRACE_MS } });
  if (!left) return;
  t.is(knownAfter(left, head(a, c), directory, NOW_MS + GRACE_MS - 1), null, 'it is not put off');
  const after = knownAfter(left, head(a, c), directory, NOW_MS + GRACE_MS);
  t.deepEqual(after, { nodes: [a, c], leaving: {} });
});

test('who comes back in time is a node like any other', (t) => {
  const left = { nodes: [a, b], leaving: { [b]: NOW_MS + 5 } };
  t.deepEqual(knownAfter(left, head(a, b), directory, NOW_MS), { nodes: [a, b], leaving: {} });
});

test('before the first snapshot nothing is under way', (t) => {
  t.deepEqual(knownAfter({ nodes: [a, b] }, head(a), null, NOW_MS), { nodes: [a], leaving: {} });
});

function head(...ids: readonly string[]): { nodes: LogNode[] } {
  return {
    nodes: ids.map((id) => ({ peer_id: id, owner: id, roles: ['mix'], domains: [], weight: 1 })),
  };
}
