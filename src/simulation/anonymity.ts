/**
 * What somebody who sees all wires can say about where a packet came from (Loopix §4.3). Delays are
 * exponential, so of the packets in a mix each is as likely to be the next that leaves. The observer
 * keeps for each packet that went in how likely it is still there, and for each that comes out how
 * likely each gateway is to have sent it.
 *
 * Loopix's observer takes all packets in a mix for equal. Ours knows more, for routes here are free and
 * not in layers: how many mixes each packet has passed, and that none goes back to where it came from.
 * Both are granted which packets are loops of mixes, so loops hide nothing here.
 */
import type { Directory } from '../mixnet/directory.ts';
import type { WireEvent } from './network-options.ts';
import type { SimulatedPacket } from './packet.ts';
import { Sample, spreadOf, type Spread } from './sample.ts';

/** `strict` is ours, `loopix` is the paper's. */
export type ObserverKind = 'strict' | 'loopix';

/**
 * Packets in a mix that are the same to the observer. Those that it cannot tell apart stay or leave with
 * one chance, so their sums are enough.
 */
interface Crowd {
  /** Mixes that they had passed before, and who posted them. */
  readonly place: number;
  readonly previous: string;
  /** How many are there, as far as it knows; a fraction when it cannot tell which have left. */
  presence: number;
  /** How many of those each gateway sent. */
  readonly origins: Float64Array;
  /** Bits of doubt about which packet one of them is. */
  bits: number;
}

/** What the observer is left with. */
export interface AnonymityReport {
  /** Bits of doubt about the sending gateway of a packet at its exit, of `senderBitsMax` possible. */
  readonly senderBits: Spread;
  readonly senderBitsMax: number;
  /** Gateways that are as good as equally likely: 2^mean. */
  readonly senderSet: number;
  /** Loopix's likelihood difference: |ln(p of the sender / p of another gateway)|. */
  readonly likelihoodDifference: Spread;
  /** Share of packets for which one other gateway is ruled out: an infinite difference. */
  readonly ruledOut: number;
  /** Bits of doubt at one mix about which packet it was that left. */
  readonly packetBits: Spread;
  /** Packets that are as good as equally likely there. */
  readonly packetSet: number;
}

export class AnonymityWatch {
  readonly #kind: ObserverKind;
  readonly #fromMs: number;
  readonly #gateways: ReadonlyMap<string, number>;
  readonly #pools = new Map<string, Map<string, Crowd>>();
  /** Of packets on the wire. */
  readonly #origins = new Map<SimulatedPacket, Float64Array>();
  readonly #senderBits = new Sample();
  readonly #packetBits = new Sample();
  readonly #differences = new Sample();
  #ruledOut = 0;
  #others = 0;

  /** @param fromMs when mixes are full enough to count */
  constructor(kind: ObserverKind, directory: Directory, fromMs: number) {
    this.#kind = kind;
    this.#fromMs = fromMs;
    const gateways = directory.nodes.filter(({ roles }) => roles.includes('gateway'));
    this.#gateways = new Map(gateways.map(({ peerId }, i) => [peerId, i]));
    for (const { peerId } of directory.nodes) this.#pools.set(peerId, new Map());
  }

  /** Call for every packet on every wire. */
  onWire({ atMs, from, to }: WireEvent, packet: SimulatedPacket): void {
    if (packet.kind === 'loop') return;
    const place = packet.way.nodes.indexOf(to);
    if (place > 0) {
      this.#origins.set(packet, this.#leaves(atMs, from, to, place - 1, packet));
      return;
    }
    const origins = new Float64Array(this.#gateways.size);
    origins[this.#gateways.get(from) as number] = 1;
    this.#origins.set(packet, origins);
  }

  /** Call for every packet that a node takes. */
  onTaken(atMs: number, node: string, packet: SimulatedPacket): void {
    const origins = this.#origins.get(packet);
    if (packet.kind === 'loop' || origins === undefined) return;
    const { nodes } = packet.way;
    const place = nodes.indexOf(node);
    if (place < nodes.length - 1) {
      const previous = place === 0 ? packet.from : (nodes[place - 1] as string);
      join(this.#crowd(node, place, previous), origins);
      return;
    }
    this.#origins.delete(packet);
    if (atMs >= this.#fromMs && packet.kind !== 'ack') this.#judge(origins, packet.from);
  }

  report(): AnonymityReport {
    const senderBits = spreadOf(this.#senderBits);
    const packetBits = spreadOf(this.#packetBits);
    return {
      senderBits,
      senderBitsMax: Math.log2(this.#gateways.size),
      senderSet: 2 ** (senderBits.mean ?? 0),
      likelihoodDifference: spreadOf(this.#differences),
      ruledOut: this.#others === 0 ? 0 : this.#ruledOut / this.#others,
      packetBits,
      packetSet: 2 ** (packetBits.mean ?? 0),
    };
  }

  /** Bits of doubt at exits, one number for each packet, sorted. */
  senderBits(): readonly number[] {
    return this.#senderBits.sorted();
  }

  #crowd(mix: string, place: number, previous: string): Crowd {
    const pool = this.#pools.get(mix) as Map<string, Crowd>;
    const name = this.#kind === 'loopix' ? '' : `${place}/${previous}`;
    let crowd = pool.get(name);
    if (crowd === undefined) {
      const origins = new Float64Array(this.#gateways.size);
      crowd = { place, previous, presence: 0, origins, bits: 0 };
      pool.set(name, crowd);
    }
    return crowd;
  }

  /** Who may have sent what leaves a mix; all that may be it are there a little less afterwards. */
  #leaves(
    atMs: number,
    mix: string,
    next: string,
    place: number,
    packet: SimulatedPacket,
  ): Float64Array {
    const pool = this.#pools.get(mix) as Map<string, Crowd>;
    const suspects: Crowd[] = [];
    let total = 0;
    for (const crowd of pool.values()) {
      const mayBe = crowd.place === place && crowd.previous !== next;
      if (crowd.presence <= 0 || (this.#kind === 'strict' && !mayBe)) continue;
      suspects.push(crowd);
      total += crowd.presence;
    }
    // What it took for gone is not: then it knows no more than before.
    if (total <= 0) return this.#origins.get(packet) as Float64Array;
    const origins = new Float64Array(this.#gateways.size);
    const left = Math.max(0, 1 - 1 / total);
    let bits = 0;
    for (const crowd of suspects) {
      const share = crowd.presence / total;
      bits += share * (crowd.bits - Math.log2(share));
      for (let i = 0; i < origins.length; i++) {
        const sent = crowd.origins[i] as number;
        origins[i] = (origins[i] as number) + sent / total;
        crowd.origins[i] = left * sent;
      }
      crowd.presence *= left;
    }
    if (atMs >= this.#fromMs) this.#packetBits.add(bits);
    return origins;
  }

  #judge(origins: Float64Array, sender: string): void {
    let bits = 0;
    for (const share of origins) if (share > 0) bits -= share * Math.log2(share);
    this.#senderBits.add(bits);
    const self = this.#gateways.get(sender) as number;
    const own = origins[self] as number;
    for (let other = 0; other < origins.length; other++) {
      if (other === self) continue;
      this.#others += 1;
      const difference = Math.abs(Math.log(own / (origins[other] as number)));
      if (Number.isFinite(difference)) this.#differences.add(difference);
      else this.#ruledOut += 1;
    }
  }
}

/** One more in a crowd: it is this one with a chance of 1 in all, or one of the others as before. */
function join(crowd: Crowd, origins: Float64Array): void {
  const before = crowd.presence;
  const after = before + 1;
  const others = before > 0 ? (before / after) * (Math.log2(after / before) + crowd.bits) : 0;
  crowd.bits = others + Math.log2(after) / after;
  crowd.presence = after;
  for (let i = 0; i < origins.length; i++) {
    crowd.origins[i] = (crowd.origins[i] as number) + (origins[i] as number);
  }
}
