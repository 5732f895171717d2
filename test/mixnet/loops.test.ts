import test from 'ava';
import { chanceOfAtMost, Loops, tripDueMs } from '../../src/mixnet/loops.ts';
import { drawOne, drawUnit } from '../../src/mixnet/draw.ts';
import { NOW_MS } from './made-directory.ts';
import { seededRandom } from './seeded-random.ts';

const random = seededRandom(11);
let nextId = 0;

/** Trips that were due one second after another, until `NOW_MS`. */
function walked(trips: readonly { nodes: readonly string[]; isBack: boolean }[]): Loops {
  const loops = new Loops('me');
  trips.forEach(({ nodes, isBack }, i) => {
    const dueMs = NOW_MS - (trips.length - i) * 1000;
    const id = String(nextId++);
    loops.sent({ id, nodes, sentMs: dueMs - 6_000, dueMs });
    if (isBack) loops.returned(id, dueMs - 1_000);
  });
  return loops;
}

const all = (count: number, isBack: boolean, nodes = ['a', 'b', 'c']) =>
  Array.from({ length: count }, () => ({ nodes, isBack }));

test('a trip is due when its delays and the slack are over, with those of an ack where one comes', (t) => {
  t.is(tripDueMs({ sentMs: 1000, delayMs: 300, ackDelayMeanMs: 0 }), 3_300);
  t.is(tripDueMs({ sentMs: 1000, delayMs: 300, ackDelayMeanMs: 100 }), 3_700);
});

test('the chance of so few returns is the binomial one', (t) => {
  t.true(Math.abs(chanceOfAtMost(0, 4, 0.9) - 1e-4) < 1e-12);
  t.true(Math.abs(chanceOfAtMost(1, 2, 0.5) - 0.75) < 1e-12);
  t.true(Math.abs(chanceOfAtMost(20, 20, 0.9) - 1) < 1e-12);
  t.true(Math.abs(chanceOfAtMost(12, 20, 0.9) - 4.16e-4) < 1e-5);
});

test('four trips in a row that do not come back are an alarm, three are none', (t) => {
  const routes = [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'a'],
    ['d', 'a'],
  ];
  const lost = (count: number) => routes.slice(0, count).map((nodes) => ({ nodes, isBack: false }));
  t.deepEqual(walked([...all(50, true), ...lost(3)]).judge(NOW_MS), {
    isAlarmed: false,
    returned: 50,
    due: 53,
  });
  t.true(walked(lost(4)).judge(NOW_MS).isAlarmed);
  t.true(walked([...all(50, true), ...lost(4)]).judge(NOW_MS).isAlarmed);
});

test('where everything through all nodes is lost it is our own inbox', (t) => {
  const nodes = ['a', 'b', 'c', 'd', 'e'];
  const cutOff = walked(
    Array.from({ length: 20 }, (_, i) => ({
      nodes: [nodes[i % 5] as string, nodes[(i + 2) % 5] as string],
      isBack: false,
    })),
  );
  t.true(cutOff.judge(NOW_MS).isAlarmed);
});

test('one node that is down explains what is lost through it, as long as the others come back', (t) => {
  const nodes = ['a', 'b', 'c', 'd', 'e'];
  const trips = Array.from({ length: 60 }, (_, i) => {
    const route = [nodes[i % 5] as string, nodes[(i + 2) % 5] as string];
    return { nodes: route, isBack: !route.includes('c') };
  });
  const verdict = walked(trips).judge(NOW_MS);
  t.false(verdict.isAlarmed);
  t.is(verdict.returned, 36);
});

test('a trip that comes back late clears the alarm', (t) => {
  const loops = new Loops('me');
  for (let i = 0; i < 8; i++) {
    loops.sent({ id: `l${i}`, nodes: ['a'], sentMs: NOW_MS - 9_000, dueMs: NOW_MS - 100 * i });
  }
  t.true(loops.judge(NOW_MS).isAlarmed);
  for (let i = 0; i < 8; i++) t.true(loops.returned(`l${i}`, NOW_MS));
  t.false(loops.judge(NOW_MS).isAlarmed);
  t.false(loops.returned('l0', NOW_MS), 'a second return is none');
  t.false(loops.returned('other', NOW_MS));
});

test('an honest mixnet that loses one trip in twenty is alarmed in fewer than 1 of 100 looks', (t) => {
  const nodes = ['a', 'b', 'c', 'd', 'e'];
  let alarms = 0;
  for (let run = 0; run < 2000; run++) {
    const trips = Array.from({ length: 100 }, () => ({
      nodes: [drawOne(random, nodes) as string, drawOne(random, nodes) as string],
      isBack: drawUnit(random) > 0.05,
    }));
    if (walked(trips).judge(NOW_MS).isAlarmed) alarms++;
  }
  t.true(alarms < 20, `${alarms}`);
});

test('the report shows the node, and the link, through which nothing comes back', (t) => {
  const loops = walked([
    ...all(10, true, ['a', 'b']),
    ...all(10, false, ['a', 'c']),
    ...all(10, true, ['b', 'd']),
  ]);
  const { nodes, links } = loops.report(NOW_MS);
  t.deepEqual(nodes['c'], { due: 10, returned: 0, roundTripMs: null });
  t.deepEqual(nodes['a'], { due: 20, returned: 10, roundTripMs: 5_000 });
  t.deepEqual(links['me>a'], { due: 20, returned: 10, roundTripMs: 5_000 });
  t.deepEqual(links['a>c'], { due: 10, returned: 0, roundTripMs: null });
  t.is(links['d>me']?.returned, 10);
});

test('trips that are not due yet say nothing, and old ones are forgotten', (t) => {
  const loops = new Loops('me');
  for (let i = 0; i < 5_000; i++) {
    const sentMs = NOW_MS + i;
    loops.sent({ id: `o${i}`, nodes: ['a'], sentMs, dueMs: sentMs + 1 });
  }
  t.deepEqual(loops.judge(NOW_MS), { isAlarmed: false, returned: 0, due: 0 });
  t.false(loops.returned('o0', NOW_MS));
  t.true(loops.returned('o4999', NOW_MS));
});

for (const perSecond of [1, 50, 500]) {
  test(`at ${perSecond} trips a second, too, it is an alarm within seconds of their time when none comes back`, (t) => {
    const loops = new Loops('me');
    const tripMs = 30_000;
    const cutOffMs = NOW_MS + 60_000;
    const gapMs = 1000 / perSecond;
    const noted = (sentMs: number): string => {
      const id = String(nextId++);
      // Ways through five nodes in turn: no one of them can be to blame.
      const nodes = [0, 2].map((step) => `n${(nextId + step) % 5}`);
      loops.sent({ id, nodes, sentMs, dueMs: sentMs + tripMs });
      return id;
    };
    const underWay: { id: string; sentMs: number }[] = [];
    for (let nowMs = NOW_MS; nowMs < cutOffMs + tripMs + 10_000; nowMs += gapMs) {
      underWay.push({ id: noted(nowMs), sentMs: nowMs });
      while ((underWay[0]?.sentMs ?? Infinity) < nowMs - tripMs + 5_000) {
        const { id, sentMs } = underWay.shift() as { id: string; sentMs: number };
        if (sentMs < cutOffMs) loops.returned(id, nowMs);
      }
      if (Math.floor(nowMs / 10_000) === Math.floor((nowMs - gapMs) / 10_000)) continue;
      if (nowMs < cutOffMs) t.false(loops.judge(nowMs).isAlarmed);
    }
    t.true(loops.judge(cutOffMs + tripMs + 10_000).isAlarmed);
  });
}
