/**
 * What Redis holds, writes and logs of a node's work must not join what came in to what went out.
 * The same search finds all of it once the storage keys open what is sealed.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';

import { fromHex } from '../../src/bytes.ts';
import type { Log } from '../../src/log.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { rewriteNow } from '../../src/redis/rewrite.ts';
import { BusyNode } from './busy-node.ts';
import { temporaryDataDir, temporaryStore, until } from './private-redis.ts';
import { findBytes } from './search-bytes.ts';
import type { Needle, Source } from './search-bytes.ts';
import {
  fileSources,
  openedSources,
  storeSources,
  storedValues,
  textSource,
  writtenValues,
} from './search-store.ts';

test('neither store, files nor log hold a tag, packet, id, key, address or subject in clear', async (t) => {
  const { node, sources } = await workedNode(t);
  const needles = [...tagsOf(node), ...packetsOf(node), ...node.secrets];
  t.true(needles.length > 250);
  t.deepEqual(findBytes(needles, await sources()), []);
});

test('with the storage keys the same search finds every one of them', async (t) => {
  const { node, store, dataDir, sources } = await workedNode(t);
  const values = [...(await storedValues(store.redis)), ...(await writtenValues(dataDir))];
  const opened = openedSources(values, [node.nodeKey, node.endpointKey]);
  // Ids are never stored, only their keyed hashes.
  const ids = /^(message|reply) id/;
  const stored = [...packetsOf(node), ...node.secrets.filter(({ name }) => !ids.test(name))];
  t.deepEqual(missing(stored, opened), []);
  const names = [...node.gone, ...node.waiting].flatMap(({ tag, recordId }) => [
    named(`tag of ${recordId}`, node.records.tagName(node.endpointId, tag).subarray(1)),
    named(`record ${recordId}`, fromHex(recordId)),
  ]);
  t.deepEqual(missing(names, await sources()), []);
});

test('after a rewrite nothing names what has left, and what waits tells when it is due only', async (t) => {
  const { node, store, sources, startedMs } = await workedNode(t);
  await rewriteNow(store.redis, store.prefix, 10_000);
  const left = [...node.gone, ...node.own].map(({ recordId }) =>
    named(recordId, fromHex(recordId)),
  );
  const waiting = node.waiting.map(({ recordId }) => named(recordId, fromHex(recordId)));
  const sourcesAfter = await sources();
  t.deepEqual(findBytes(left, sourcesAfter), []);
  t.deepEqual(missing(waiting, sourcesAfter), []);
  t.deepEqual(await timesIn(store, startedMs, Date.now()), []);
});

/** A node that has worked, before any rewrite of its append-only file. */
async function workedNode(t: ExecutionContext): Promise<{
  readonly node: BusyNode;
  readonly store: Store;
  readonly dataDir: string;
  readonly startedMs: number;
  readonly sources: () => Promise<readonly Source[]>;
}> {
  const dataDir = await temporaryDataDir(t);
  const lines: string[] = [];
  const say = (fields: object, text: string): void =>
    void lines.push(JSON.stringify({ ...fields, text }));
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const store = await temporaryStore(t, { dataDir, log });
  // A program rewrites soon after its start; from then on there is a minute for the work.
  await store.redis.set('first', 'write');
  await until(async () => !/last_rewrite_time_sec:-1/.test(await store.redis.info('persistence')));
  const startedMs = Date.now();
  const node = new BusyNode(store);
  await node.work();
  const sources = async (): Promise<readonly Source[]> => [
    ...(await storeSources(store.redis)),
    ...(await fileSources(dataDir)),
    textSource('log', lines.join('\n')),
  ];
  t.true(lines.length > 0, 'nothing was logged, so the log was not searched');
  t.true((await writtenValues(dataDir)).length > 500, 'the file was rewritten too early');
  return { node, store, dataDir, startedMs, sources };
}

function tagsOf(node: BusyNode): readonly Needle[] {
  // Its first byte would be in the name of its bucket.
  return [...node.gone, ...node.waiting].map(({ tag, recordId }) =>
    named(`tag ${recordId}`, tag.subarray(1)),
  );
}

function packetsOf(node: BusyNode): readonly Needle[] {
  return [
    ...[...node.gone, ...node.waiting].map(({ recordId, onward }) =>
      named(`packet ${recordId}`, onward),
    ),
    ...node.own.map(({ recordId, packet }) => named(`own packet ${recordId}`, packet)),
  ];
}

function named(name: string, bytes: Uint8Array | null): Needle {
  if (bytes === null) throw new Error(`${name}: nothing to look for`);
  return { name, bytes };
}

function missing(needles: readonly Needle[], sources: readonly Source[]): readonly string[] {
  const found = new Set(findBytes(needles, sources).map(({ needle }) => needle));
  return needles.filter(({ name }) => !found.has(name)).map(({ name }) => name);
}

/**
 * Numbers in a store that are a moment of the run: ms, seconds, or BullMQ's score of a delayed job, 4096
 * times the ms; and keys that end at a moment that tells when they were written.
 */
async function timesIn(store: Store, fromMs: number, toMs: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name, bytes } of await storeSources(store.redis)) {
    // When a program last looked for lost jobs: every 5 s, whatever passes.
    if (name.endsWith(':stalled-check')) continue;
    for (const [digits] of Buffer.from(bytes)
      .toString('latin1')
      .matchAll(/\d{10,16}/g)) {
      const number = Number(digits);
      if ([number, number * 1_000, number / 4_096].some((ms) => ms > fromMs - 1_000 && ms < toMs))
        found.push(`${name}: ${digits}`);
    }
    const end = Number(await store.redis.call('PEXPIRETIME', name));
    if (end > 0 && end % 600_000 !== 0) found.push(`${name} ends ${end}`);
  }
  return found;
}
