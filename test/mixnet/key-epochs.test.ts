import test from 'ava';
import fc from 'fast-check';
import { ENDPOINTS_MAX } from '../../src/mixnet/directory-texts.ts';
import {
  coveredMs,
  earlyKey,
  endsMs,
  freshMarginMs,
  isOutdated,
  keyInUse,
  keyState,
  missingKeys,
  refuseLifetimes,
  shortened,
  shutsMs,
  type KeyLife,
  type KeyTerms,
} from '../../src/mixnet/key-epochs.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TERMS: KeyTerms = { keyLifetimeMs: DAY_MS, snapshotLifetimeMs: 9 * HOUR_MS };
const START_MS = Date.UTC(2026, 0, 1);

/** Hours after the start. */
function hours({ opensMs, closesMs }: KeyLife): readonly number[] {
  return [opensMs, closesMs].map((atMs) => (atMs - START_MS) / HOUR_MS);
}

function life(opensHour: number, closesHour: number): KeyLife {
  const [opensMs, closesMs] = [START_MS + opensHour * HOUR_MS, START_MS + closesHour * HOUR_MS];
  return { opensMs, closesMs, keyLifetimeMs: DAY_MS };
}

function named(endpointId: string, key: KeyLife, first = 1) {
  return { ...key, endpointId, publicKey: Uint8Array.of(first) };
}

function at(hour: number): number {
  return START_MS + hour * HOUR_MS;
}

for (const [what, lives, atHour, made] of [
  [
    'nothing yet: at once, and five minutes back for clocks that are behind',
    [],
    0,
    [[-1 / 12, 23 + 11 / 12]],
  ],
  ['one that has long to live', [life(0, 24)], 5.9, []],
  // 18 h is a quarter of a day before the end; the snapshots of 9 h and of 3 h more name it by then.
  ['one whose next is to be known 12 h before it opens', [life(0, 24)], 6, [[18, 42]]],
  ['one whose next is there', [life(0, 24), life(18, 42)], 23, []],
  [
    'after two days away, all closed',
    [life(0, 24), life(18, 42)],
    90,
    [[90 - 1 / 12, 114 - 1 / 12]],
  ],
  ['late, the next one opens at once', [life(0, 24)], 23, [[23, 47]]],
  ['a gap before one that is ahead', [life(30, 54)], 10, [[10 - 1 / 12, 34 - 1 / 12]]],
] as const) {
  test(`keys that are made: ${what}`, (t) => {
    const keys = missingKeys(lives, START_MS + atHour * HOUR_MS, TERMS);
    t.deepEqual(keys.map(hours), made);
  });
}

test('a snapshot of two lives of a key takes several keys at the start, and they fit in an entry', (t) => {
  const terms = { keyLifetimeMs: 8000, snapshotLifetimeMs: 16_000 };
  const keys = missingKeys([], 0, terms);
  t.deepEqual(
    keys.map(({ opensMs, closesMs }) => [opensMs, closesMs]),
    [
      [-1000, 7000],
      [5000, 13_000],
      [11_000, 19_000],
      [17_000, 25_000],
    ],
  );
});

test('a key shuts an eighth of its life after it closes and ends after a quarter', (t) => {
  const key = life(0, 24);
  t.is(shutsMs(key), START_MS + 27 * HOUR_MS);
  t.is(endsMs(key), START_MS + 30 * HOUR_MS);
  const states = [-1, 0, 24 * HOUR_MS - 1, 24 * HOUR_MS].map((atMs) =>
    keyState(key, START_MS + atMs),
  );
  t.deepEqual(states, ['ahead', 'in-use', 'in-use', 'closing']);
});

test('of keys that are open senders use the one that closes last', (t) => {
  const keys = [life(18, 42), life(0, 24), life(36, 60)];
  const usedAt = (hour: number) => keyInUse(keys, at(hour));
  t.is(usedAt(17), keys[1] as KeyLife);
  t.is(usedAt(18), keys[0] as KeyLife);
  t.is(usedAt(35), keys[0] as KeyLife);
  t.is(usedAt(36), keys[2] as KeyLife);
  t.is(usedAt(60), null);
});

test('a key that is nearly full has a successor at once, which senders use; and only one', (t) => {
  const nowMs = START_MS + 3 * HOUR_MS;
  const full = { tags: 61, tagsMax: 100 };
  const keys = [life(0, 24)];
  t.is(earlyKey(keys, nowMs, TERMS, { tags: 60, tagsMax: 100 }), null);
  const early = earlyKey(keys, nowMs, TERMS, full);
  if (early === null) return t.fail();
  t.deepEqual(hours(early), [3, 27]);
  const both = [...keys, early];
  t.is(keyInUse(both, nowMs), early);
  // The one that was planned stays, and what follows goes by the last.
  t.deepEqual(missingKeys([...both, life(18, 42)], START_MS + 29 * HOUR_MS, TERMS), [
    { ...life(36, 60) },
  ]);
  const many = Array.from({ length: ENDPOINTS_MAX - 1 }, () => life(0, 24));
  t.is(earlyKey(many, nowMs, TERMS, full), null, 'the last place is for the one whose time comes');
  t.is(earlyKey([], nowMs, TERMS, full), null);
  // Made for longer than keys live now: the successor must close after it all the same.
  const long = { ...life(0, 400), keyLifetimeMs: 400 * HOUR_MS };
  const after = earlyKey([long], nowMs, TERMS, full) as KeyLife;
  return t.is(keyInUse([long, after], nowMs), after);
});

test('a key made for longer than keys live now is cut short, but never within what snapshots ask for', (t) => {
  const old = { ...life(0, 366 * 24), keyLifetimeMs: 366 * DAY_MS };
  const early = shortened(old, START_MS + HOUR_MS, TERMS);
  t.deepEqual(hours(early), [0, 24]);
  t.is(early.keyLifetimeMs, DAY_MS);
  const late = shortened(old, START_MS + 100 * HOUR_MS, TERMS);
  t.deepEqual(hours(late), [0, 100 + 12 + 6]);
  t.is(shortened(late, START_MS + 110 * HOUR_MS, TERMS), late, 'once');
  const fine = life(0, 24);
  t.is(shortened(fine, START_MS, TERMS), fine);
  t.is(shortened(fine, START_MS, { ...TERMS, keyLifetimeMs: 2 * DAY_MS }), fine);
  const nearEnd = { ...life(0, 366 * 24), keyLifetimeMs: 366 * DAY_MS };
  t.deepEqual(hours(shortened(nearEnd, START_MS + (366 * 24 - 1) * HOUR_MS, TERMS)), [0, 366 * 24]);
});

test('a directory is outdated where it lacks a key in use or names one that is gone, not for one ahead', (t) => {
  const one = named('one', life(0, 24));
  const two = named('two', life(18, 42));
  t.false(isOutdated([one], [one], at(1)));
  t.false(isOutdated([one], [one, two], at(17)), 'the next snapshot will name it');
  t.true(isOutdated([one], [one, two], at(18)));
  t.true(isOutdated([], [one], at(1)));
  t.true(isOutdated([one, two], [two], at(20)), 'lost while senders may use it');
  t.false(isOutdated([one, two], [two], at(24)), 'destroyed when its time was over');
  t.true(isOutdated([named('one', life(0, 24), 2)], [one], at(1)), 'another key');
});

test('packets are ready for a minute more, or a twenty-fourth of a short life', (t) => {
  t.is(freshMarginMs(TERMS), 60_000);
  t.is(freshMarginMs({ keyLifetimeMs: 24_000 }), 1000);
});

test('a snapshot of more than two lives of a key is refused with the sum', (t) => {
  t.is(refuseLifetimes({ keyLifetimeMs: 1000, snapshotLifetimeMs: 2000 }), null);
  const sum = refuseLifetimes({ keyLifetimeMs: 1000, snapshotLifetimeMs: 2001 });
  t.regex(sum ?? '', /2001 ms .* 2 × 1000 = 2000 ms/);
});

/** A node over time: what its keeper would do at each look. */
class Simulated {
  keys: KeyLife[] = [];
  readonly terms: KeyTerms;

  constructor(terms: KeyTerms) {
    this.terms = terms;
  }

  look(nowMs: number): void {
    this.keys = this.keys.filter((key) => nowMs < endsMs(key));
    this.keys.push(...missingKeys(this.keys, nowMs, this.terms));
  }
}

const TERMS_OF_ANY_SIZE = fc
  .record({
    keyLifetimeMs: fc.integer({ min: 1000, max: 40 * DAY_MS }),
    share: fc.double({ min: 0.01, max: 2, noNaN: true }),
  })
  .map(({ keyLifetimeMs, share }) => {
    return { keyLifetimeMs, snapshotLifetimeMs: Math.max(1, Math.floor(share * keyLifetimeMs)) };
  });

test('whatever L, S and time away: with any snapshot that is valid, senders find a key that the node has', (t) => {
  const away = fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { maxLength: 3 });
  fc.assert(
    fc.property(TERMS_OF_ANY_SIZE, fc.nat({ max: 1e12 }), away, (terms, startMs, aways) => {
      const { keyLifetimeMs, snapshotLifetimeMs } = terms;
      const node = new Simulated(terms);
      // A look 40 times in a key's life, and now and then none for long.
      const stepMs = Math.max(1, Math.floor(keyLifetimeMs / 40));
      const pauses = aways.map((lives) => Math.floor(lives * keyLifetimeMs));
      const snapshots: { readonly madeMs: number; readonly keys: readonly KeyLife[] }[] = [];
      let nowMs = startMs;
      for (let step = 0; step < 320; step++) {
        node.look(nowMs);
        if (node.keys.length > ENDPOINTS_MAX) return false;
        const untilMs = nowMs + snapshotLifetimeMs;
        // All of the life of a snapshot that is made now, and of one that an epoch later names these.
        if (coveredMs(node.keys, nowMs) < untilMs + snapshotLifetimeMs / 3) return false;
        snapshots.push({ madeMs: nowMs, keys: [...node.keys] });
        for (const { madeMs, keys } of snapshots) {
          if (nowMs >= madeMs + snapshotLifetimeMs) continue;
          const chosen = keyInUse(keys, nowMs);
          // The same object: never destroyed, never drawn anew.
          if (chosen === null || !node.keys.includes(chosen)) return false;
        }
        nowMs += step % 80 === 79 ? (pauses.pop() ?? stepMs) : stepMs;
      }
      return true;
    }),
    { numRuns: 60, verbose: true },
  );
  t.pass();
});

test('whatever L and S: when a key opens, every snapshot that is valid names it', (t) => {
  fc.assert(
    fc.property(TERMS_OF_ANY_SIZE, (terms) => {
      const node = new Simulated(terms);
      const made = new Map<KeyLife, number>();
      const stepMs = Math.max(1, Math.floor(terms.keyLifetimeMs / 40));
      for (let step = 0; step < 200; step++) {
        const nowMs = step * stepMs;
        node.look(nowMs);
        for (const key of node.keys) if (!made.has(key)) made.set(key, nowMs);
      }
      // Those of the first look open when they can.
      return [...made].every(
        ([key, atMs]) => atMs === 0 || atMs <= key.opensMs - terms.snapshotLifetimeMs + stepMs,
      );
    }),
    { numRuns: 60, verbose: true },
  );
  t.pass();
});
