/**
 * The simulation against what mathematics says about it.
 */
import test from 'ava';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { AnonymityWatch } from '../../src/simulation/anonymity.ts';
import { firstOf } from '../../src/simulation/attack.ts';
import {
  erlangCdf,
  hostileWayChance,
  mixEntropyBits,
  onceAmong,
} from '../../src/simulation/closed-forms.ts';
import { hostileReport } from '../../src/simulation/hostile.ts';
import { madeDirectory } from '../../src/simulation/made-directory.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { smallNetwork, GEOMETRY, TRAFFIC } from './small-network.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const LINK_MS = 20;

/** Largest distance of a sample's distribution from the one it should have (Kolmogorov and Smirnov). */
function distance(sample: readonly number[], cdf: (value: number) => number): number {
  const sorted = sample.toSorted((left, right) => left - right);
  return Math.max(
    ...sorted.map((value, i) =>
      Math.max(
        Math.abs(cdf(value) - i / sorted.length),
        Math.abs(cdf(value) - (i + 1) / sorted.length),
      ),
    ),
  );
}

test('the time at three mixes is Erlang with three stages', (t) => {
  const times: number[] = [];
  const network = smallNetwork({
    onTaken: (atMs, node, { kind, way, sentMs }) => {
      if (kind === 'cover' && way.nodes.at(-1) === node) times.push(atMs - sentMs - 4 * LINK_MS);
    },
  });
  network.runUntil(HOUR_MS);
  t.true(times.length > 10_000);
  // A larger distance has a chance of 1 %.
  const allowed = 1.63 / Math.sqrt(times.length);
  t.true(distance(times, (ms) => erlangCdf(3, 2000, ms)) < allowed);
  t.true(distance(times, (ms) => erlangCdf(3, 1900, ms)) > allowed, 'and no other mean');
  t.true(distance(times, (ms) => erlangCdf(2, 3000, ms)) > allowed, 'and no other number');
});

test('a mix holds a Poisson number of packets of mean λ/μ', (t) => {
  let present = 0;
  const seen: number[] = [];
  const network = smallNetwork({
    onTaken: (_atMs, node, { way }) => {
      if (node === 'mix-1' && way.nodes.at(-1) !== node) present += 1;
    },
    onWire: ({ from }, packet) => {
      if (from === 'mix-1' && packet.from !== 'mix-1') present -= 1;
    },
  });
  network.runUntil(MINUTE_MS);
  for (let second = 0; second < 16_000; second += 8) {
    network.runUntil(MINUTE_MS + 1000 * second);
    seen.push(present);
  }
  const mean = seen.reduce((sum, count) => sum + count, 0) / seen.length;
  const variance = seen.reduce((sum, count) => sum + (count - mean) ** 2, 0) / seen.length;
  // 2 gateways · 2 ticks/s, there and back, and the loops of two other mixes: 9 packets/s · 2 s.
  t.true(Math.abs(mean - 18) < 4 * Math.sqrt(18 / seen.length), `mean ${mean}`);
  t.true(Math.abs(variance / mean - 1) < 4 * Math.sqrt(2 / seen.length), `variance ${variance}`);
});

test('a lone fragment waits for its exit to be drawn, then for three mixes', (t) => {
  const network = smallNetwork({ members: { providers: 4, mixes: 3 } });
  for (let i = 0; i < 1000; i++) {
    network.submit({ atMs: i * 30_000, from: 'gateway-1', to: 'gateway-2', bytes: 1 });
  }
  network.runUntil(9 * HOUR_MS);
  const waits = network.mails.map(
    ({ firstKeptMs, submittedMs }) => (firstKeptMs ?? 0) - submittedMs,
  );
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
  // 4 gateways of 2 ticks/s: 2 s; 3 · 2 s; 4 links. Their variance: 4 + 3 · 4 s².
  t.true(Math.abs(mean - 8080) < 4 * (4000 / Math.sqrt(1000)), `mean ${mean}`);
  const delivered = network.mails.map(
    ({ deliveredMs, keptMs }) => (deliveredMs ?? 0) - (keptMs ?? 0),
  );
  const exitMean = delivered.reduce((sum, wait) => sum + wait, 0) / delivered.length;
  t.true(Math.abs(exitMean - 20_000) < 4 * (20_000 / Math.sqrt(1000)), `exit ${exitMean}`);
});

test('what can go to one exit is the ticks that draw it, by its weight', (t) => {
  const network = smallNetwork({ members: { providers: 3, mixes: 3, weights: [1, 1, 2] } });
  network.submit({
    atMs: 0,
    from: 'gateway-1',
    to: 'gateway-3',
    bytes: 2000 * GEOMETRY.fragmentBytes,
  });
  network.submit({
    atMs: 0,
    from: 'gateway-1',
    to: 'gateway-3',
    bytes: 2000 * GEOMETRY.fragmentBytes,
  });
  network.runUntil(HOUR_MS);
  const kept = network.mails.reduce((sum, mail) => sum + mail.kept, 0);
  // 7200 ticks, half of them for the exit; some seconds' worth is on its way.
  t.true(Math.abs(kept - 3600) < 4 * Math.sqrt(1800) + 20, `${kept}`);
});

test('the observer doubts which packet leaves a mix as Danezis calculated, whatever else flows', (t) => {
  const directory = madeDirectory({ providers: 4, mixes: 3 }, TRAFFIC);
  const watch = new AnonymityWatch('loopix', directory, MINUTE_MS);
  const network = smallNetwork({
    members: { providers: 4, mixes: 3 },
    onWire: (event, packet) => watch.onWire(event, packet),
    onTaken: (atMs, node, packet) => watch.onTaken(atMs, node, packet),
  });
  network.runUntil(2 * HOUR_MS);
  // 4 gateways · 2 ticks/s, there and back: 16 packets/s · 2 s, loops left out.
  const { packetBits } = watch.report();
  t.true(Math.abs((packetBits.mean ?? 0) - mixEntropyBits(32)) < 0.03, `${packetBits.mean}`);
});

test('drawn ways meet hostile mixes as often as combinatorics says', (t) => {
  const directory = madeDirectory({ providers: 3, mixes: 6 }, TRAFFIC);
  const report = hostileReport(seededRandom('ways'), directory, 4, [1, 10, 30]);
  t.deepEqual(report.mixes, ['mix-1', 'mix-2', 'mix-3', 'mix-4']);
  t.is(report.oneWay, hostileWayChance(6, 4, 3));
  for (const { fragments, chance, simulated } of report.byFragments) {
    t.is(chance, onceAmong(report.oneWay, fragments));
    const mails = 100_000 / fragments;
    t.true(Math.abs(simulated - chance) < 4 * Math.sqrt((chance * (1 - chance)) / mails) + 1e-9);
  }
});

test("mixes of providers at a way's ends are no mixes of it, so that others weigh more", (t) => {
  const directory = madeDirectory({ providers: 4, mixes: 3, providersMix: true }, TRAFFIC);
  const report = hostileReport(seededRandom('ways'), directory, 3, [1]);
  t.is(report.oneWay, hostileWayChance(5, 3, 3));
  t.true(Math.abs((report.byFragments[0]?.simulated ?? 0) - 0.1) < 0.004);
});

test('what leaves first is the target as often as in a race of exponential clocks', (t) => {
  t.is(firstOf(0, 0), 1);
  t.is(firstOf(0, 1), 0.5);
  const random = seededRandom('race');
  const clock = (mean: number): number => -Math.log(drawUnit(random)) * mean;
  const [beside, loops, races] = [2.5, 1, 40_000];
  let first = 0;
  for (let race = 0; race < races; race++) {
    let others = 0;
    for (let at = clock(1 / beside); at < 1; at += clock(1 / beside)) others += 1;
    const rivals = Array.from({ length: others }, () => clock(1));
    if (clock(1) < Math.min(clock(1 / loops), ...rivals)) first += 1;
  }
  t.true(Math.abs(first / races - firstOf(beside, loops)) < 4 * Math.sqrt(0.25 / races));
});
