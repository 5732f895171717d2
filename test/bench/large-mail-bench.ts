/**
 * How long one large mail holds up everybody else at its entry: the store that ticks write to, and the event
 * loop. In parts, as `mail-parts.ts` keeps it, and in one write, in turns in one run:
 * `node test/bench/large-mail-bench.ts [--megabytes N] [--rounds N]`.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore, openStore, type Store } from '../../src/redis/embedded.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { createSealing } from '../../src/redis/sealing.ts';
import { median } from '../soak/trend.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '25' },
    rounds: { type: 'string', default: '7' },
  },
});
const KEY = native.random(32);
const BETWEEN_MS = 2;
const NS_PER_MS = 1e6;

/** The longest, in ms, while something was done. */
interface HeldUp {
  /** Of small writes of somebody else, each waiting for the one before. */
  readonly storeMs: number;
  readonly loopMs: number;
  readonly tookMs: number;
}

const dataDir = await mkdtemp(join(tmpdir(), 'panoramix-bench-'));
const store = await openStore({ dataDir, log: silentLog, name: 'bench' });
const visitor = await connectStore({ dataDir, log: silentLog, name: 'bench-visitor' });
try {
  const mails = await MailStore.open(store, { primitives: native, storageKey: KEY });
  const data = new Uint8Array(randomBytes(Number(values.megabytes) * 1_000_000));
  const ways = {
    'in one write': async () => await inOneWrite(store, data),
    'in parts': async () => await inParts(mails, data),
    nothing: async () => await sleep(200),
  };
  const seen = new Map<string, HeldUp[]>(Object.keys(ways).map((way) => [way, []]));
  // The first round warms up and does not count.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const [way, act] of Object.entries(ways)) {
      const held = await watched(visitor, act);
      if (round > 0) seen.get(way)?.push(held);
    }
  }
  for (const [way, list] of seen) process.stdout.write(`${lineOf(way, list)}\n`);
} finally {
  await visitor.close();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}

async function inParts(mails: MailStore, data: Uint8Array): Promise<void> {
  const messageId = toHex(native.random(16));
  await mails.accept({ messageId, envelope: fromUtf8('{}'), data });
  await mails.remove(messageId);
}

async function inOneWrite({ redis }: Store, data: Uint8Array): Promise<void> {
  const sealed = createSealing(native, KEY).seal(data, 'bench');
  await redis.hset('bench', 'envelope', '{}', 'data', Buffer.from(sealed.buffer));
  await redis.del('bench');
}

async function watched({ redis }: Store, act: () => Promise<void>): Promise<HeldUp> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  let storeMs = 0;
  const over = new AbortController();
  const writing = (async () => {
    while (!over.signal.aborted) {
      const startMs = performance.now();
      await redis.set('bench-small', 'x');
      storeMs = Math.max(storeMs, performance.now() - startMs);
      await sleep(BETWEEN_MS);
    }
  })();
  delays.enable();
  // What comes before its first look is not seen.
  await sleep(10);
  const startMs = performance.now();
  await act();
  const tookMs = performance.now() - startMs;
  delays.disable();
  over.abort();
  await writing;
  return { storeMs, loopMs: delays.max / NS_PER_MS, tookMs };
}

function lineOf(way: string, list: readonly HeldUp[]): string {
  const of = (what: keyof HeldUp): string => {
    const all = list.map((one) => one[what]);
    const [low, high] = [Math.min(...all), Math.max(...all)].map((ms) => ms.toFixed(0));
    return `${median(all).toFixed(0)} ms (${low} to ${high})`;
  };
  return `${way.padEnd(14)} a small write waits ${of('storeMs')}, the event loop ${of('loopMs')}; took ${of('tookMs')}`;
}
