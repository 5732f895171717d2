import test from 'ava';
import { drawBelow, drawUnit } from '../../src/mixnet/draw.ts';
import { Schedule } from '../../src/simulation/schedule.ts';
import { seededRandom, seededStreams } from '../../src/simulation/seeded.ts';

function bytes(seed: string): string {
  return seededRandom(seed)(64).toString();
}

function units(seed: string): readonly number[] {
  const random = seededRandom(seed);
  return Array.from({ length: 20_000 }, () => drawUnit(random));
}

function correlation(left: readonly number[], right: readonly number[]): number {
  const products = left.map((value, i) => (value - 0.5) * ((right[i] as number) - 0.5));
  return (12 * products.reduce((sum, product) => sum + product, 0)) / products.length;
}

test('one text gives one stream, and any other text another one', (t) => {
  t.is(bytes('1/tick'), bytes('1/tick'));
  const streams = ['1/tick', '1/ticl', '2/tick', '1/tick ', ''].map(bytes);
  t.is(new Set(streams).size, streams.length);
});

test('what one purpose draws changes nothing for another', (t) => {
  const alone = seededStreams(5)('links')(32);
  const streams = seededStreams(5);
  streams('mail')(1000);
  t.deepEqual(streams('links')(32), alone);
  t.notDeepEqual(seededStreams(6)('links')(32), alone);
});

test('it gives as many bytes as asked for, every value equally often', (t) => {
  const random = seededRandom('bytes');
  for (const length of [0, 1, 3, 4, 5, 6, 16, 33]) t.is(random(length).length, length);
  const counts = Array.from({ length: 256 }, () => 0);
  for (let i = 0; i < 20_000; i++) {
    for (const byte of random(13)) counts[byte] = (counts[byte] ?? 0) + 1;
  }
  const expected = (20_000 * 13) / 256;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // 255 degrees of freedom: between these with a chance of 99.8 %.
  t.true(chiSquare > 190 && chiSquare < 330, `${chiSquare}`);
});

test('neighbours in a stream, and streams of neighbouring seeds, do not depend on each other', (t) => {
  const [one, two] = [units('1/tick'), units('2/tick')];
  const allowed = 4 / Math.sqrt(20_000);
  t.true(Math.abs(correlation(one, two)) < allowed);
  t.true(Math.abs(correlation(one, one.slice(1).concat(0.5))) < allowed);
});

test('what is planned happens in the order of its times, and of one time in the order of planning', (t) => {
  const random = seededRandom('order');
  const schedule = new Schedule(0);
  const planned: { atMs: number; order: number }[] = [];
  const happened: { atMs: number; order: number }[] = [];
  for (let order = 0; order < 2000; order++) {
    const one = { atMs: drawBelow(random, 300), order };
    planned.push(one);
    schedule.at(one.atMs, () => {
      t.is(schedule.nowMs, one.atMs);
      happened.push(one);
    });
  }
  schedule.runUntil(149);
  t.true(happened.every(({ atMs }) => atMs <= 149));
  t.is(schedule.size, planned.filter(({ atMs }) => atMs > 149).length);
  schedule.runUntil(1000);
  t.deepEqual(
    happened,
    planned.toSorted((left, right) => left.atMs - right.atMs || left.order - right.order),
  );
  t.is(schedule.nowMs, 1000);
});

test('what is planned for the past happens now, after what is due', (t) => {
  const schedule = new Schedule(10);
  const happened: string[] = [];
  schedule.at(20, () => {
    schedule.at(5, () => happened.push(`late ${schedule.nowMs}`));
    happened.push('first');
  });
  schedule.at(20, () => happened.push('second'));
  schedule.runUntil(30);
  t.deepEqual(happened, ['first', 'second', 'late 20']);
});
