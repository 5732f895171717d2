import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hashText } from '../../src/api/signed.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import {
  DirectoryStore,
  type DirectoryStoreOptions,
  type NodesSource,
} from '../../src/mixer/directory-store.ts';
import {
  agreeOnPaper,
  createOwners,
  LIFETIME_MS,
  NOW_MS,
  paperMixnet,
  type PaperMixnet,
  type Wishes,
} from '../mixnet/signed-directory.ts';

const owners = createOwners(3);
const first = paperMixnet({}, owners);
const { mixnetId } = first;
const firstHash = hashText(native, first.nodes.snapshot.text);

/** The same mixnet with another snapshot: founding and log stay what they are. */
function later(wishes: Wishes): PaperMixnet['nodes'] {
  const made = paperMixnet(
    {
      ...wishes,
      snapshot: (text) => {
        const own = {
          ...text,
          log_head: hashText(native, (first.nodes.log[0] as { text: string }).text),
        };
        return wishes.snapshot?.(own) ?? own;
      },
    },
    owners,
  );
  return { ...first.nodes, snapshot: made.nodes.snapshot };
}

const second = later({ number: 2, previous: firstHash });

function dataDirOf(t: ExecutionContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  return dataDir;
}

function open(
  dataDir: string,
  {
    sources = [],
    ...more
  }: { readonly now?: () => number; readonly sources?: readonly NodesSource[] } & Partial<
    Pick<DirectoryStoreOptions, 'forgiven' | 'log' | 'answerMs'>
  > = {},
): DirectoryStore {
  return new DirectoryStore({
    dataDir,
    mixnetId,
    primitives: native,
    log: silentLog,
    sources: () => sources,
    now: () => NOW_MS,
    ...more,
  });
}

test('a store begins without a directory, and keeps the first that verifies over a restart', (t) => {
  const dataDir = dataDirOf(t);
  const store = open(dataDir);
  t.deepEqual(store.current(), { ok: false, reason: 'directory-missing' });
  t.false(store.remembers('alpha.example'));
  t.like(store.offer(first.nodes), { ok: true, changed: true });
  t.like(store.offer(first.nodes), { ok: true, changed: false });
  t.deepEqual(open(dataDir).current(), store.current());
  t.true(open(dataDir).remembers('ALPHA.example'));
  t.false(open(dataDir).remembers('gamma.example'));
});

test('an expired directory is not current, and its domains are remembered', (t) => {
  const dataDir = dataDirOf(t);
  open(dataDir).offer(first.nodes);
  const store = open(dataDir, { now: () => NOW_MS + LIFETIME_MS });
  t.deepEqual(store.current(), { ok: false, reason: 'directory-expired' });
  t.is(store.last()?.number, 1);
  t.true(store.remembers('beta.example'));
});

const BACKWARD: readonly [string, PaperMixnet['nodes'], string][] = [
  ['a lower number', first.nodes, 'snapshot-rolled-back'],
  [
    'a next one that follows another',
    later({ number: 3, previous: 'e'.repeat(64) }),
    'snapshot-broken',
  ],
];

for (const [what, nodes, reason] of BACKWARD) {
  test(`${what} is refused as ${reason}, also after a restart`, (t) => {
    const dataDir = dataDirOf(t);
    const store = open(dataDir);
    t.true(store.offer(first.nodes).ok);
    t.true(store.offer(second).ok);
    for (const one of [store, open(dataDir)]) {
      t.like(one.offer(nodes), { ok: false, reason });
      t.like(one.current(), { ok: true, directory: { number: 2 } });
    }
  });
}

test('numbers may be skipped by a node that was away', (t) => {
  const store = open(dataDirOf(t));
  t.true(store.offer(first.nodes).ok);
  t.true(store.offer(later({ number: 7, previous: 'f'.repeat(64) })).ok);
});

/** The same mixnet with a second log entry, and a snapshot by it. */
function grown(
  number: number,
  change: (nodes: readonly { peer_id: string; domains: string[] }[]) => object[] = (nodes) => [
    ...nodes,
  ],
): PaperMixnet['nodes'] {
  const [entry] = first.nodes.log;
  const { data } = JSON.parse(entry?.text ?? '') as {
    data: { log: { nodes: { peer_id: string; domains: string[] }[] } };
  };
  const changed = {
    ...data.log,
    previous: hashText(native, entry?.text ?? ''),
    nodes: change(data.log.nodes),
  };
  const info = { resource: 'peer', operation: 'partial_update' };
  const record = agreeOnPaper({ data: { peer_id: mixnetId, log: changed }, info }, owners);
  const log_head = hashText(native, record.text);
  const made = later({
    number,
    previous: firstHash,
    snapshot: (text) => ({ ...text, log_head }),
  });
  return { ...made, log: [...first.nodes.log, record] };
}

test('a log that lost the entry we went by is refused, and one that dropped a domain forgets it', (t) => {
  const dropped = grown(2, (nodes) =>
    nodes.map((node) => ({
      ...node,
      domains: node.domains.filter((domain) => domain !== 'alpha.example'),
    })),
  );
  const store = open(dataDirOf(t));
  t.true(store.offer(first.nodes).ok);
  t.true(store.remembers('alpha.example'));
  t.true(store.offer(dropped).ok);
  t.false(store.remembers('alpha.example'));
  t.true(store.remembers('beta.example'));
  const secondHash = hashText(native, dropped.snapshot.text);
  const shrunk = later({ number: 3, previous: secondHash });
  t.like(store.offer(shrunk), { ok: false, reason: 'log-rolled-back' });
});

test('of two that follow the same one the higher number wins, for the other was given up', (t) => {
  const store = open(dataDirOf(t));
  t.true(store.offer(first.nodes).ok);
  t.true(store.offer(second).ok);
  t.like(store.offer(later({ number: 3, previous: firstHash })), { ok: true, changed: true });
  t.like(store.offer(second), { ok: false, reason: 'snapshot-rolled-back' });
});

const twin = later({ number: 2, previous: firstHash, snapshotSigners: (all) => all.slice(1) });

/** Holds the second snapshot, and has seen its twin, which two of the three owners have signed. */
function withTwin(t: ExecutionContext, more: Parameters<typeof open>[1] = {}) {
  const dataDir = dataDirOf(t);
  const store = open(dataDir, more);
  store.offer(first.nodes);
  store.offer(second);
  t.true(store.current().ok);
  t.like(store.offer(twin), { ok: false, reason: 'snapshot-equivocated', number: 2 });
  return { dataDir, store };
}

test('two snapshots of one number stop mail, also after a restart; both are kept, and who signed both', (t) => {
  const said: object[] = [];
  const note = (fields: object): void => void said.push(fields);
  const { dataDir, store } = withTwin(t, { log: { ...silentLog, error: note } });
  const equivocated = { ok: false, reason: 'snapshot-equivocated' };
  t.like(store.current(), equivocated);
  t.is(store.last()?.number, 2);
  t.like(open(dataDir).current(), equivocated);
  const evidence = JSON.parse(readFileSync(join(dataDir, 'equivocation-2.json'), 'utf8')) as {
    signed_both: string[];
    records: unknown[];
  };
  const both = owners.slice(1).map(({ peerId }) => peerId);
  t.deepEqual(evidence.signed_both, both);
  t.deepEqual(evidence.records, [second.snapshot, twin.snapshot]);
  store.offer(twin);
  t.like(said, [{ event: 'snapshot-equivocated', number: 2, signedBoth: both }]);
  t.is(said.length, 1, 'it is said once');
});

test('a twin that has expired proves as much', (t) => {
  const dataDir = dataDirOf(t);
  let nowMs = NOW_MS;
  const store = open(dataDir, { now: () => nowMs });
  store.offer(first.nodes);
  store.offer(second);
  nowMs += 2 * LIFETIME_MS;
  t.like(store.offer(twin), { ok: false, reason: 'snapshot-equivocated' });
});

test('mail goes on after a later log entry, which a later snapshot alone is not', (t) => {
  const { store } = withTwin(t);
  const third = later({ number: 3, previous: hashText(native, twin.snapshot.text) });
  t.like(store.offer(third), { ok: true, changed: true });
  t.like(store.current(), { ok: false, reason: 'snapshot-equivocated' });
  t.true(store.offer(grown(5)).ok);
  t.true(store.current().ok);
});

test('mail goes on after the operator has said that it shall, of that number alone', async (t) => {
  let forgiven: readonly number[] = [1];
  const { store, dataDir } = withTwin(t, { forgiven: () => forgiven });
  await store.refresh();
  t.false(store.current().ok);
  forgiven = [2];
  await store.refresh();
  t.true(store.current().ok);
  t.true(open(dataDir, { forgiven: () => forgiven }).current().ok);
});

test('a directory that was changed to lose a domain is refused for that', (t) => {
  const store = open(dataDirOf(t));
  store.offer(first.nodes);
  const [entry] = first.nodes.log;
  const text = entry?.text.replace('"alpha.example"', '') ?? '';
  t.true(text.length < (entry?.text.length ?? 0));
  const robbed = { ...first.nodes, log: [{ ...entry, text }] };
  t.deepEqual(store.offer(robbed), { ok: false, reason: 'domain-lost', number: null });
  t.true(store.remembers('alpha.example'));
});

test('what a directory.json is changed to on disk is not believed, and its domains stay remembered', (t) => {
  const dataDir = dataDirOf(t);
  open(dataDir).offer(first.nodes);
  const path = join(dataDir, 'directory.json');
  const text = readFileSync(path, 'utf8');
  for (const damaged of ['', text.slice(0, 500), text.replace('alpha.example', 'aleph.example')]) {
    writeFileSync(path, damaged);
    const store = open(dataDir);
    t.deepEqual(store.current(), { ok: false, reason: 'directory-missing' });
    t.true(store.remembers('alpha.example'));
    t.like(store.offer(later({ number: 1 })), { ok: false, reason: 'snapshot-equivocated' });
    t.true(store.offer(first.nodes).ok);
  }
});

test('a damaged memory stops the program, since it could forget a domain', (t) => {
  const dataDir = dataDirOf(t);
  writeFileSync(join(dataDir, 'directory-seen.json'), '{');
  t.throws(() => open(dataDir), { code: 'config-invalid' });
});

test('a refresh asks every controller, takes the best, and survives those that fail or lie', async (t) => {
  const served: unknown[] = [first.nodes, { ...second, mixnet: 'a'.repeat(64) }, second];
  const sources = served.map((nodes, index) => ({
    url: `http://127.0.0.1:${index}/`,
    getNodes: () => Promise.resolve(nodes),
  }));
  const failing = { url: 'http://127.0.0.1:9/', getNodes: () => Promise.reject(new Error('gone')) };
  const store = open(dataDirOf(t), { sources: [failing, ...sources] });
  t.true(await store.refresh());
  t.like(store.current(), { ok: true, directory: { number: 2 } });
  const alone = open(dataDirOf(t), { sources: [failing] });
  t.false(await alone.refresh());
});

test('a controller that hangs keeps nobody from hearing the others', async (t) => {
  const hanging = {
    url: 'http://127.0.0.1:9/',
    getNodes: async () => await new Promise(() => undefined),
  };
  const honest = {
    url: 'http://127.0.0.1:1/',
    getNodes: async () => await Promise.resolve(first.nodes),
  };
  const store = open(dataDirOf(t), { sources: [hanging, honest], answerMs: 1_000 });
  const asking = store.refresh();
  // The answer counts as soon as it is there; what is waited for is what the silent one is called.
  for (let i = 0; i < 100 && !store.current().ok; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  t.true(store.current().ok);
  const alive = setInterval(() => undefined, 1_000);
  t.true(await asking);
  clearInterval(alive);
});

test('a failing refresh keeps what is held', async (t) => {
  const failing = { url: 'http://127.0.0.1:9/', getNodes: () => Promise.reject(new Error('gone')) };
  const store = open(dataDirOf(t), { sources: [failing] });
  store.offer(first.nodes);
  t.false(await store.refresh());
  t.true(store.current().ok);
});
