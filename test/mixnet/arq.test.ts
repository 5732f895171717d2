import test from 'ava';
import fc from 'fast-check';
import {
  afterSend,
  decideSend,
  decodeSends,
  encodeSends,
  NEVER_SENT,
  SENDS_PER_DAY_MAX,
  type Sends,
} from '../../src/mixnet/arq.ts';
import { NOW_MS } from './made-directory.ts';
import { seededRandom } from './seeded-random.ts';

const DAY_MS = 86_400_000;
const trip = { tripDelayMs: 12_000, delayMeanMs: 2_000 };
const random = seededRandom(5);

/** All sends of a fragment whose acks never come, as early as each may be. */
function sendsUntil(endMs: number, about = trip): number[] {
  const times: number[] = [];
  let sends: Sends = NEVER_SENT;
  for (let nowMs = NOW_MS; nowMs < endMs;) {
    const decision = decideSend(sends, nowMs, endMs);
    if (decision.kind === 'expired') break;
    if (decision.kind === 'wait') nowMs = decision.untilMs;
    else {
      times.push(nowMs);
      sends = afterSend(random, sends, { nowMs, ...about });
    }
  }
  return times;
}

test('what was never sent may go at once', (t) => {
  t.deepEqual(decideSend(NEVER_SENT, NOW_MS, NOW_MS + 1), { kind: 'send' });
});

test('a fragment is given up when it expires and not before', (t) => {
  t.deepEqual(decideSend(NEVER_SENT, NOW_MS, NOW_MS), { kind: 'expired' });
  const times = sendsUntil(NOW_MS + 5 * DAY_MS);
  t.true((times.at(-1) as number) > NOW_MS + 3 * DAY_MS);
  t.true(times.length > 20);
});

test('no fragment takes more than eight routes in any 24 hours', (t) => {
  for (let run = 0; run < 50; run++) {
    const times = sendsUntil(NOW_MS + 5 * DAY_MS);
    for (const from of times) {
      const within = times.filter((at) => at >= from && at < from + DAY_MS);
      t.true(within.length <= SENDS_PER_DAY_MAX, `${within.length}`);
    }
  }
});

test('it is not sent again before its way there and back can be over', (t) => {
  const sends = afterSend(random, NEVER_SENT, { nowMs: NOW_MS, ...trip });
  const leastMs = NOW_MS + trip.tripDelayMs + 4 * trip.delayMeanMs;
  t.true(sends.againAtMs > leastMs);
  t.deepEqual(decideSend(sends, leastMs, NOW_MS + DAY_MS), {
    kind: 'wait',
    untilMs: sends.againAtMs,
  });
  t.deepEqual(decideSend(sends, sends.againAtMs, NOW_MS + DAY_MS), { kind: 'send' });
});

test('the times of resends are random: exponential beyond the estimate', (t) => {
  const extra = Array.from({ length: 4000 }, () => {
    const sends = afterSend(random, NEVER_SENT, { nowMs: NOW_MS, ...trip });
    return sends.againAtMs - NOW_MS - 25_000;
  });
  const mean = extra.reduce((sum, one) => sum + one, 0) / extra.length;
  const spread = Math.sqrt(extra.reduce((sum, one) => sum + (one - mean) ** 2, 0) / extra.length);
  t.true(Math.min(...extra) >= 0);
  t.true(Math.abs(mean - 12_500) < 800, `mean ${mean}`);
  t.true(Math.abs(spread - mean) < 1500, `spread ${spread}`);
});

test('the first two resends come soon, later ones over hours', (t) => {
  const firsts = Array.from({ length: 200 }, () => sendsUntil(NOW_MS + DAY_MS));
  const median = (n: number): number => {
    const waits = firsts.map((times) => (times[n] as number) - NOW_MS);
    return waits.toSorted((left, right) => left - right)[100] as number;
  };
  t.true(median(1) < 60_000);
  t.true(median(2) < 150_000);
  t.true(median(5) > 20 * 60_000);
  t.true(firsts.every((times) => times.length === SENDS_PER_DAY_MAX));
});

test('a clock that was set back makes nothing wait for longer than a day', (t) => {
  const sends = afterSend(random, NEVER_SENT, { nowMs: NOW_MS + 300 * DAY_MS, ...trip });
  const decision = decideSend(sends, NOW_MS, NOW_MS + 5 * DAY_MS);
  t.deepEqual(decision, { kind: 'wait', untilMs: NOW_MS + DAY_MS });
});

test('histories are bytes of one length, and are read back', (t) => {
  const lengths = new Set<number>();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 30 }), (count) => {
      let sends = NEVER_SENT;
      for (let i = 0; i < count; i++) {
        sends = afterSend(random, sends, { nowMs: NOW_MS + i * 3_600_000, ...trip });
      }
      const bytes = encodeSends(sends);
      lengths.add(bytes.length);
      t.deepEqual(decodeSends(bytes), sends);
    }),
  );
  t.is(lengths.size, 1);
  t.is(decodeSends(new Uint8Array(3)), null);
  t.is(decodeSends(new Uint8Array([...lengths][0] as number)), null);
});
