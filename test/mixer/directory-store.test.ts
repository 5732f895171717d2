import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hashText } from '../../src/api/signed.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { DirectoryStore, type NodesSource } from '../../src/mixer/directory-store.ts';
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
  more: { readonly now?: () => number; readonly sources?: readonly NodesSource[] } = {},
): DirectoryStore {
  return new DirectoryStore({
    dataDir,
    mixnetId,
    primitives: native,
    log: silentLog,
    sources: [],
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
    'another snapshot of the same number',
    later({ number: 2, previous: firstHash }),
    'snapshot-conflict',
  ],
  ['a next one that follows another', later({ number: 3, previous: firstHash }), 'snapshot-broken'],
];

for (const [what, nodes, reason] of BACKWARD) {
  test(`${what} is refused as ${reason}, also after a restart`, (t) => {
    const dataDir = dataDirOf(t);
    const store = open(dataDir);
    t.true(store.offer(first.nodes).ok);
    t.true(store.offer(second).ok);
    for (const one of [store, open(dataDir)]) {
      t.deepEqual(one.offer(nodes), { ok: false, reason });
      t.like(one.current(), { ok: true, directory: { number: 2 } });
    }
  });
}

test('numbers may be skipped by a node that was away', (t) => {
  const store = open(dataDirOf(t));
  t.true(store.offer(first.nodes).ok);
  t.true(store.offer(later({ number: 7, previous: 'f'.repeat(64) })).ok);
});

test('a log that lost the entry we went by is refused, and one that dropped a domain forgets it', (t) => {
  const [entry] = first.nodes.log;
  const { data } = JSON.parse(entry?.text ?? '') as {
    data: { log: { nodes: { peer_id: string; domains: string[] }[] } };
  };
  const dropped = {
    ...data.log,
    previous: hashText(native, entry?.text ?? ''),
    nodes: data.log.nodes.map((node) => ({
      ...node,
      domains: node.domains.filter((domain) => domain !== 'alpha.example'),
    })),
  };
  const info = { resource: 'peer', operation: 'partial_update' };
  const record = agreeOnPaper({ data: { peer_id: mixnetId, log: dropped }, info }, owners);
  const log_head = hashText(native, record.text);
  const made = later({
    number: 2,
    previous: firstHash,
    snapshot: (text) => ({ ...text, log_head }),
  });
  const grown = { ...made, log: [...first.nodes.log, record] };
  const store = open(dataDirOf(t));
  t.true(store.offer(first.nodes).ok);
  t.true(store.remembers('alpha.example'));
  t.true(store.offer(grown).ok);
  t.false(store.remembers('alpha.example'));
  t.true(store.remembers('beta.example'));
  const secondHash = hashText(native, grown.snapshot.text);
  const shrunk = later({ number: 3, previous: secondHash });
  t.deepEqual(store.offer(shrunk), { ok: false, reason: 'log-rolled-back' });
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
    t.deepEqual(store.offer(later({ number: 1 })), { ok: false, reason: 'snapshot-conflict' });
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

test('a failing refresh keeps what is held', async (t) => {
  const failing = { url: 'http://127.0.0.1:9/', getNodes: () => Promise.reject(new Error('gone')) };
  const store = open(dataDirOf(t), { sources: [failing] });
  store.offer(first.nodes);
  t.false(await store.refresh());
  t.true(store.current().ok);
});
