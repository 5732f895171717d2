import test from 'ava';
import { portable } from '../../src/crypto/portable.ts';
import { attackTrials } from '../../src/simulation/attack.ts';
import { madeDirectory } from '../../src/simulation/made-directory.ts';
import { seededStreams } from '../../src/simulation/seeded.ts';
import { simulate } from '../../src/simulation/simulate.ts';
import { DEFAULT_SPEC, refuseSpec, type SimulationSpec } from '../../src/simulation/spec.ts';
import { GEOMETRY, PACKET_BYTES, TRAFFIC } from './small-network.ts';

const SHORT: SimulationSpec = { ...DEFAULT_SPEC, hours: 0.3, attacks: 0, hostile: 3 };

function run(change: Partial<SimulationSpec> = {}) {
  return simulate({ ...SHORT, ...change }, portable);
}

function warned(change: Partial<SimulationSpec>): string {
  return run(change).warnings.join('\n');
}

function refused(change: Partial<SimulationSpec>): string | null {
  return refuseSpec({ ...DEFAULT_SPEC, ...change });
}

test('the same specification gives the same report to the last digit, another seed another one', (t) => {
  const report = run({ attacks: 2 });
  t.deepEqual(run({ attacks: 2 }), report);
  t.notDeepEqual(run({ attacks: 2, seed: 2 }).latency, report.latency);
  t.deepEqual(JSON.parse(JSON.stringify(report)), report, 'and JSON holds all of it');
});

test('the sums of a report agree with what was counted', (t) => {
  for (const change of [{}, { providers: 3, mixes: 5, providersMix: true, loopsPerSecond: 2 }]) {
    const { spec, traffic, delivery, latency } = run(change);
    const { packetsPerSecondAndMix: sum, packetsPerSecondAndMixCounted: counted } = traffic;
    t.true(Math.abs(counted / sum - 1) < 0.02, `${counted} ${sum}`);
    // The ticks to other exits that mail takes; some of it is sent after the time is over.
    const others = (spec.providers - 1) / spec.providers;
    t.true(Math.abs((1 - traffic.coverShare) / (traffic.load * others) - 1) < 0.15);
    t.is(delivery.delivered, delivery.mails);
    t.is(
      latency.bySize.reduce((all, { keptMs }) => all + keptMs.count, 0),
      delivery.mails,
    );
    t.is(delivery.resends, 0);
  }
});

test('the bandwidth is what a gateway sends, mail or no mail', (t) => {
  const [idle, busy] = [run({ users: 0 }), run({ users: 2000 })];
  t.is(idle.traffic.gatewayBytesPerDay, busy.traffic.gatewayBytesPerDay);
  // 2 ticks and 2 acks a second, 4/3 of a packet each.
  t.is(idle.traffic.gatewayBytesPerDay, ((4 * PACKET_BYTES * 4) / 3) * 86_400);
  t.is(idle.traffic.coverShare, 1);
  t.is(idle.traffic.bytesPerMailByte, null);
  t.true(busy.traffic.coverShare < 0.5);
  t.deepEqual(idle.anonymity, busy.anonymity, 'and the observer learns the same');
});

test('lost packets are sent again, and more of them the more are lost', (t) => {
  const [none, some, many] = [0, 0.01, 0.1].map((loss) => run({ loss }).delivery);
  t.is(none?.lostPackets, 0);
  t.true((some?.resends ?? 0) > 0.02 && (some?.resends ?? 0) < 0.15, `${some?.resends}`);
  // A fragment and its ack pass 8 links: 0.9^8 = 0.43 come back, so 1.3 resends each; the budget
  // of the day and its long waits take a little of it.
  t.true((many?.resends ?? 0) > 0.8 && (many?.resends ?? 0) < 1.6, `${many?.resends}`);
  t.true((many?.duplicates ?? 0) > 0.2);
  t.is(many?.delivered, many?.mails);
});

test('it warns of empty mixes, few senders, full ticks and mixes that work together', (t) => {
  t.is(warned({ hostile: 2 }), '');
  t.regex(warned({ delayMeanMs: 50 }), /λ\/μ\), fewer than 2/);
  t.regex(warned({ delayMeanMs: 50 }), /a longer delay or more packets/);
  t.regex(warned({ providers: 2 }), /2 providers are few to hide among/);
  t.regex(warned({ users: 2500, hours: 0.2 }), /more ticks per second are needed/i);
  t.regex(warned({ hostile: 3 }), /mix-1, mix-2, mix-3, they see 100\.0 % of all ways/);
  t.regex(warned({ ticksPerSecond: 0.02, hours: 2 }), /had not arrived a day later/);
});

test('what cannot work is refused with the sum', (t) => {
  t.is(refuseSpec(DEFAULT_SPEC), null);
  t.regex(refused({ providers: 1 }) ?? '', /at least 2/);
  t.regex(refused({ mixes: 2 }) ?? '', /route of 3 mixes .* there are 2/);
  t.is(refused({ mixes: 1, providersMix: true }), null);
  t.regex(refused({ mixes: 0, providersMix: true }) ?? '', /there are 2/);
  t.regex(refused({ providers: 150, mixes: 60 }) ?? '', /200 nodes/);
  t.regex(refused({ loss: 0.4, duplication: 0.2 }) ?? '', /nothing would arrive/);
  t.regex(refused({ hostile: 4 }) ?? '', /only 3/);
  t.throws(() => run({ mixes: 0 }), { instanceOf: RangeError });
});

function attacked(loopsPerSecond: number, mixes = 3) {
  return attackTrials({
    network: {
      directory: madeDirectory({ providers: 4, mixes }, { ...TRAFFIC, loopsPerSecond }),
      geometry: GEOMETRY,
      packetBytes: PACKET_BYTES,
    },
    mix: 'mix-1',
    trials: 12,
    flushesMs: [0, 4000, 8000, 40_000],
    randomFor: (trial) => seededStreams(`attack/${trial}`),
  });
}

test('a mix whose controller hands out nothing notices, sooner with more loops', (t) => {
  const [few, many] = [attacked(0.5), attacked(2)];
  t.is(few.neverNoticed, 0);
  t.true((many.alarmMs.p50 ?? 0) < (few.alarmMs.p50 ?? 0));
  // Nothing is due before two seconds have passed, and four loops have to be.
  t.true((few.alarmMs.p50 ?? 0) > 4000 && (few.alarmMs.p50 ?? 0) < 20_000);
  const [atOnce, , , late] = few.byFlush;
  t.true((atOnce?.noticed ?? 1) < 0.1 && (atOnce?.beside ?? 0) > 20);
  t.true((late?.noticed ?? 0) > 0.99 && (late?.beside ?? 1) < 1e-6);
  for (const { noticed, succeeds, beside } of few.byFlush) {
    t.true(noticed + succeeds <= 1 && beside >= 0);
  }
});
