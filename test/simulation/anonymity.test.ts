import test from 'ava';
import { AnonymityWatch, type ObserverKind } from '../../src/simulation/anonymity.ts';
import { madeDirectory } from '../../src/simulation/made-directory.ts';
import type { SimulatedPacket } from '../../src/simulation/packet.ts';
import { smallNetwork, TRAFFIC } from './small-network.ts';

const directory = madeDirectory({ providers: 2, mixes: 3 }, TRAFFIC);

function packetOf(from: string, nodes: readonly string[]): SimulatedPacket {
  const way = { nodes, delaysMs: nodes.slice(1).map(() => 0) };
  const ends = { back: null, fragment: null, tripId: '', sentMs: 0, seen: 0, held: 0 };
  return { kind: 'cover', from, way, ...ends };
}

/** One packet after the other on its links, as far as told. */
class Wires {
  readonly watch: AnonymityWatch;
  #atMs = 0;

  constructor(kind: ObserverKind) {
    this.watch = new AnonymityWatch(kind, directory, 0);
  }

  /** Over the link to the node at a place of its way. */
  hop(packet: SimulatedPacket, place: number): void {
    const { nodes } = packet.way;
    const from = place === 0 ? packet.from : (nodes[place - 1] as string);
    const to = nodes[place] as string;
    this.#atMs += 1;
    this.watch.onWire({ atMs: this.#atMs, from, to, bytes: 1 }, packet);
    this.watch.onTaken(this.#atMs, to, packet);
  }
}

const bitsOf = (share: number): number =>
  -share * Math.log2(share) - (1 - share) * Math.log2(1 - share);

test('of two packets in a mix each is as likely to be the one that leaves; what stays is either', (t) => {
  const wires = new Wires('loopix');
  const one = packetOf('gateway-1', ['mix-1', 'gateway-2']);
  const two = packetOf('gateway-2', ['mix-1', 'gateway-1']);
  const three = packetOf('gateway-1', ['mix-1', 'gateway-2']);
  wires.hop(one, 0);
  wires.hop(two, 0);
  wires.hop(two, 1);
  t.is(wires.watch.report().senderBits.p50, 1);
  wires.hop(three, 0);
  // There are now one of gateway-1 and one of either: gateway-1 with 3/4.
  wires.hop(one, 1);
  wires.hop(three, 1);
  const { senderBits, likelihoodDifference, packetBits, ruledOut } = wires.watch.report();
  t.deepEqual(wires.watch.senderBits(), [bitsOf(0.75), bitsOf(0.75), 1]);
  t.is(senderBits.count, 3);
  t.is(likelihoodDifference.p50, Math.log(3));
  t.is(ruledOut, 0);
  // Which packet: of two 1 bit; then the new one 1/2, either of the old ones 1/4.
  t.is(packetBits.p50, 1.5);
});

test('who is alone in a mix is known', (t) => {
  const wires = new Wires('loopix');
  for (const from of ['gateway-1', 'gateway-2']) {
    const packet = packetOf(from, ['mix-1', 'gateway-2']);
    wires.hop(packet, 0);
    wires.hop(packet, 1);
  }
  const report = wires.watch.report();
  t.is(report.senderBits.mean, 0);
  t.is(report.senderSet, 1);
  t.is(report.packetSet, 1);
  t.is(report.ruledOut, 1);
  t.is(report.likelihoodDifference.count, 0);
});

test('the strict observer does not take a packet at its first mix for one at its last', (t) => {
  const packets = [
    packetOf('gateway-1', ['mix-1', 'mix-2', 'gateway-2']),
    packetOf('gateway-2', ['mix-2', 'mix-1', 'gateway-1']),
  ] as const;
  for (const [kind, bits] of [
    ['strict', 0],
    ['loopix', 1],
  ] as const) {
    const wires = new Wires(kind);
    wires.hop(packets[0], 0);
    wires.hop(packets[0], 1);
    wires.hop(packets[1], 0);
    wires.hop(packets[0], 2);
    t.is(wires.watch.report().senderBits.mean, bits, kind);
  }
});

test('nor one for a packet that would go back to where it came from', (t) => {
  for (const [kind, bits] of [
    ['strict', 0],
    ['loopix', 1],
  ] as const) {
    const wires = new Wires(kind);
    const from3 = packetOf('gateway-1', ['mix-3', 'mix-1', 'mix-2', 'gateway-2']);
    const from2 = packetOf('gateway-2', ['mix-2', 'mix-1', 'mix-3', 'gateway-2']);
    wires.hop(from3, 0);
    wires.hop(from3, 1);
    wires.hop(from2, 0);
    wires.hop(from2, 1);
    wires.hop(from3, 2);
    wires.hop(from3, 3);
    t.is(wires.watch.report().senderBits.mean, bits, kind);
  }
});

test('without delays everything is known, and with them next to nothing', (t) => {
  const bits = [0, 100, 2000].map((delayMeanMs) => {
    const watch = new AnonymityWatch('strict', directory, 60_000);
    const network = smallNetwork({
      traffic: { delayMeanMs },
      onWire: (event, packet) => watch.onWire(event, packet),
      onTaken: (atMs, node, packet) => watch.onTaken(atMs, node, packet),
    });
    network.runUntil(1_800_000);
    return watch.report().senderBits.mean ?? -1;
  });
  const [none, short, long] = bits as [number, number, number];
  t.true(none < 0.02, `${none}`);
  t.true(short > 0.1 && short < 0.7, `${short}`);
  t.true(long > 0.97 && long <= 1, `${long}`);
});
