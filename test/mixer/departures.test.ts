import { setTimeout as wait } from 'node:timers/promises';
import test from 'ava';
import { Departures } from '../../src/mixer/departures.ts';
import { seededRandom } from '../mixnet/seeded-random.ts';

test('packets that are due together leave in an order of their own', async (t) => {
  const departures = new Departures(seededRandom(1));
  const left: number[] = [];
  const arrived = Array.from({ length: 50 }, (_, i) => i);
  await Promise.all(
    arrived.map(async (number) => {
      await departures.turn();
      left.push(number);
    }),
  );
  t.notDeepEqual(left, arrived);
  t.deepEqual(
    left.toSorted((one, other) => one - other),
    arrived,
  );
});

test('every packet of three leaves first equally often', async (t) => {
  const departures = new Departures(seededRandom(2), 0);
  const first = [0, 0, 0];
  for (let round = 0; round < 300; round++) {
    const left: number[] = [];
    await Promise.all(
      [0, 1, 2].map(async (number) => {
        await departures.turn();
        left.push(number);
      }),
    );
    first[left[0] as number] = (first[left[0] as number] as number) + 1;
  }
  t.true(
    first.every((count) => Math.abs(count - 100) < 42),
    first.join(),
  );
});

test('a packet alone leaves at once', async (t) => {
  const departures = new Departures(seededRandom(3), 5);
  const won = await Promise.race([departures.turn().then(() => 'left'), wait(1000, 'waits')]);
  t.is(won, 'left');
});
