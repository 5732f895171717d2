import test from 'ava';
import { CLOCK_SKEW_MS, STALE_MS } from '../../src/api/signed.ts';
import {
  CLOCKS_AGREE,
  Clocks,
  differenceText,
  judgeClocks,
  type ClockDifference,
} from '../../src/client/clocks.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';

const HOUR_MS = 3_600_000;
const OWN = 'http://own/';
const store = sharedStore(test);

/** Controllers a, b, c…, against whose clocks the own one is so far ahead; the last is the own one. */
function heard(othersMs: readonly number[], ownMs: number | null = null): ClockDifference[] {
  const others = othersMs.map((aheadMs, i) => ({ url: `http://${i}/`, aheadMs, ageMs: 0 }));
  return ownMs === null ? others : [...others, { url: OWN, aheadMs: ownMs, ageMs: 0 }];
}

test('a clock off by five minutes, and by what a request takes, is no trouble to anybody', async (t) => {
  const bed = await privateController(t, store());
  for (const aheadMs of [-CLOCK_SKEW_MS - 20_000, -CLOCK_SKEW_MS, CLOCK_SKEW_MS]) {
    const client = bed.client();
    const off = new ControllerClient({
      url: bed.url,
      identity: client.identity,
      primitives: native,
      now: () => Date.now() + aheadMs,
    });
    await off.registerPeer('a peer whose clock is off');
    t.truthy(await off.getPeer(client.identity.peerId));
  }
});

test('a clock off by hours is named, with how far and against whom', async (t) => {
  const bed = await privateController(t, store());
  for (const [aheadMs, text] of [
    [3 * HOUR_MS + 120_000, '3 h 2 min ahead of'],
    [-2 * HOUR_MS, '2 h 0 min behind'],
    // Which way it was cut off, and what the request took, moves it by a second.
    [STALE_MS + 5_000, '5 min 3'],
  ] as const) {
    const clocks = new Clocks({ now: () => Date.now() + aheadMs });
    const client = new ControllerClient({
      url: bed.url,
      identity: createIdentity(native),
      primitives: native,
      now: () => Date.now() + aheadMs,
      clocks,
    });
    const error = await t.throwsAsync(client.registerPeer('late'), { code: 'clock-wrong' });
    t.true(error.message.includes(text), error.message);
    t.true(error.message.includes(bed.url), error.message);
    const [difference] = clocks.differences();
    t.is(difference?.url, client.url);
    t.true(Math.abs((difference?.aheadMs ?? 0) - aheadMs) < 2_000, String(difference?.aheadMs));
  }
});

test('a request that was on its way for too long is stale, and no clock is blamed', async (t) => {
  const bed = await privateController(t, store());
  // Its controller's Date is right, and so is ours: only what was signed is old.
  const client = new ControllerClient({
    url: bed.url,
    identity: createIdentity(native),
    primitives: native,
    now: () => Date.now() - HOUR_MS,
    clocks: new Clocks(),
  });
  await t.throwsAsync(client.registerPeer('slow'), { code: 'request-stale' });
});

test('between answers a step of the own clock shows at once, and the time that passes does not', (t) => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  let monotonicMs = 1_000;
  const clocks = new Clocks({ now: () => nowMs, monotonic: () => monotonicMs });
  clocks.heard('http://a/', nowMs - 500);
  t.is(clocks.differences()[0]?.aheadMs, 0);
  nowMs += HOUR_MS;
  monotonicMs += HOUR_MS;
  t.deepEqual(clocks.differences(), [{ url: 'http://a/', aheadMs: 0, ageMs: HOUR_MS }]);
  nowMs -= 3 * HOUR_MS;
  t.is(clocks.differences()[0]?.aheadMs, -3 * HOUR_MS);
});

test('the own clock is wrong where most others say so, whatever the own controller says', (t) => {
  t.deepEqual(judgeClocks([], OWN), CLOCKS_AGREE);
  const hours = 2 * HOUR_MS;
  const verdicts = [
    { of: heard([0, 0, 0], 0), isOwnWrong: false, differing: 0 },
    { of: heard([hours, hours, hours], 0), isOwnWrong: true, differing: 3 },
    { of: heard([hours, hours, 0], 0), isOwnWrong: true, differing: 2 },
    { of: heard([0, hours, 0], 0), isOwnWrong: false, differing: 1 },
    { of: heard([0, hours, hours, 0], 0), isOwnWrong: false, differing: 2 },
    // Who is wrong cannot be told where both differ the other way; the middle one says: not we.
    { of: heard([-hours, 0, hours], 0), isOwnWrong: false, differing: 2 },
    { of: heard([0, 0], hours), isOwnWrong: false, differing: 1 },
    { of: heard([], hours), isOwnWrong: true, differing: 1 },
    { of: heard([STALE_MS, STALE_MS, -STALE_MS], 0), isOwnWrong: false, differing: 0 },
    { of: heard([-STALE_MS - 1, -STALE_MS - 1, 0], 0), isOwnWrong: true, differing: 2 },
  ];
  for (const [row, { of, isOwnWrong, differing }] of verdicts.entries()) {
    const verdict = judgeClocks(of, OWN);
    t.is(verdict.isOwnWrong, isOwnWrong, `row ${row}`);
    t.is(verdict.differing.length, differing, `row ${row}`);
    t.is(verdict.heard, of.length);
  }
});

test('a difference is said in words of the size that matters', (t) => {
  for (const [aheadMs, text] of [
    [0, '0 s ahead of'],
    [-59_000, '59 s behind'],
    [340_000, '5 min 40 s ahead of'],
    [HOUR_MS, '1 h 0 min ahead of'],
    [-50 * HOUR_MS, '2 d 2 h behind'],
  ] as const) {
    t.is(differenceText(aheadMs), text);
  }
});
