import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { HeapAsker } from './ask-heap.ts';
import { LIVE } from './judge.ts';
import { residentBytes } from './processes.ts';
import { trendOf, type Point, type Trend } from './trend.ts';

const TIMES = 9;
const BETWEEN_MS = 500;
const KB = 1024;

test('what a program keeps is found below ten megabytes a second of garbage, and garbage is not', async (t) => {
  const asker = new HeapAsker();
  t.teardown(() => asker.end());
  const [leaky, clean] = await Promise.all([watch(asker, 700 * KB), watch(asker, 0)]);
  t.is(leaky.verdict, 'grows', JSON.stringify(leaky));
  t.true(Math.abs(leaky.bytesPerMinute / (60 * 700 * KB) - 1) < 0.3, JSON.stringify(leaky));
  t.is(clean.verdict, 'level', JSON.stringify(clean));
});

async function watch(asker: HeapAsker, keptBytesPerSecond: number): Promise<Trend> {
  const program = fork(new URL('leaky-program.ts', import.meta.url), [String(keptBytesPerSecond)]);
  try {
    const pid = program.pid ?? 0;
    await sleep(2_000);
    const startMs = performance.now();
    const points: Point[] = [];
    for (let i = 0; i < TIMES; i++) {
      const { liveBytes } = await asker.ask(pid);
      if (liveBytes > residentBytes(pid)) throw new Error('it holds more than it has');
      points.push({ seconds: (performance.now() - startMs) / 1000, bytes: liveBytes });
      await sleep(BETWEEN_MS);
    }
    return trendOf(points, LIVE);
  } finally {
    program.kill();
    await once(program, 'exit');
  }
}
