import test from 'ava';
import { arrivals, type MailLoad } from '../../src/simulation/arrivals.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';

const DAY_MS = 86_400_000;
const load: MailLoad = {
  gateways: ['a', 'b', 'c'],
  mailsPerDayAndGateway: 1000,
  sizes: [
    { bytes: 100, weight: 3 },
    { bytes: 200, weight: 1 },
  ],
  burst: 1,
};

function within(count: number, expected: number): boolean {
  return Math.abs(count - expected) < 4 * Math.sqrt(expected);
}

test('each gateway gets its mails a day, of the sizes and to the others by chance', (t) => {
  const mails = [...arrivals(seededRandom('mail'), load, 1000, 1000 + 4 * DAY_MS)];
  t.true(within(mails.length, 12_000));
  t.true(within(mails.filter(({ from }) => from === 'a').length, 4000));
  t.true(within(mails.filter(({ from, to }) => from === 'b' && to === 'c').length, 2000));
  t.true(within(mails.filter(({ bytes }) => bytes === 200).length, 3000));
  t.true(mails.every(({ from, to }) => from !== to));
  t.true(mails.every(({ atMs }) => atMs > 1000 && atMs < 1000 + 4 * DAY_MS));
  t.deepEqual(
    mails,
    mails.toSorted((left, right) => left.atMs - right.atMs),
  );
});

test('bursts come rarer and bring as much', (t) => {
  const random = seededRandom('bursts');
  const mails = [...arrivals(random, { ...load, burst: 5 }, 0, 10 * DAY_MS)];
  const moments = new Set(mails.map(({ atMs }) => atMs));
  t.true(within(moments.size, 6000));
  // The number in a geometric burst of mean 5 varies by 20.
  t.true(Math.abs(mails.length - 30_000) < 4 * Math.sqrt(6000 * (20 + 25)));
});

test('there is no mail without users, and none where there is one gateway', (t) => {
  const random = seededRandom('none');
  t.deepEqual([...arrivals(random, { ...load, mailsPerDayAndGateway: 0 }, 0, DAY_MS)], []);
  t.deepEqual([...arrivals(random, { ...load, gateways: ['a'] }, 0, DAY_MS)], []);
});
