/**
 * One simulated node: its streams of randomness, what waits at it, its loops, and whether it runs.
 */
import type { Random } from '../crypto/primitives.ts';
import type { Directory, DirectoryNode } from '../mixnet/directory.ts';
import { NEVER_HELD, type Holding } from '../mixnet/hold.ts';
import { Loops } from '../mixnet/loops.ts';
import { Outbound } from './mail.ts';
import type { RandomFor } from './seeded.ts';

export class SimulatedNode {
  readonly peerId: string;
  readonly isGateway: boolean;
  /**
   * Clocks, exits, ways and their delays come from the first stream, all that depends on mail from
   * others: so that two runs of one seed, with mail and without, look alike on the wire to the last packet.
   */
  readonly tickRandom: Random;
  readonly forwardRandom: Random;
  readonly resendRandom: Random;
  readonly exitRandom: Random;
  readonly loops: Loops;
  /** Number of the alarm that is on, from 1. */
  alarm: number | null = null;
  /** For which alarm it holds packets of others, or last did. */
  holding: Holding = NEVER_HELD;
  #alarms = 0;
  isDown = false;
  /** Its controller hands out nothing. */
  isCutOff = false;
  /** Another number whenever the node has forgotten all packets that it had. */
  memory = 0;
  readonly #outbound = new Map<string, Outbound>();
  #onBack: (() => void)[] = [];
  #onHandedOut: (() => void)[] = [];

  constructor({ peerId, roles }: DirectoryNode, directory: Directory, randomFor: RandomFor) {
    this.peerId = peerId;
    this.isGateway = roles.includes('gateway');
    this.tickRandom = randomFor(`tick/${peerId}`);
    this.forwardRandom = randomFor(`forward/${peerId}`);
    this.resendRandom = randomFor(`resend/${peerId}`);
    this.exitRandom = randomFor(`exit/${peerId}`);
    this.loops = new Loops(peerId);
    for (const node of directory.nodes) {
      if (node.roles.includes('gateway')) this.#outbound.set(node.peerId, new Outbound());
    }
  }

  /** Whether too few of its loops come back, as it was last judged. */
  noteAlarm(isAlarmed: boolean): void {
    if (!isAlarmed) this.alarm = null;
    else this.alarm ??= ++this.#alarms;
  }

  /** What waits here for an exit. */
  outboundTo(exit: string): Outbound {
    const outbound = this.#outbound.get(exit);
    if (outbound === undefined) throw new RangeError(`no gateway ${exit}`);
    return outbound;
  }

  /** How many fragments wait here. */
  waiting(): number {
    let waiting = 0;
    for (const outbound of this.#outbound.values()) waiting += outbound.length;
    return waiting;
  }

  /** What to do once the node runs again. */
  whenBack(act: () => void): void {
    this.#onBack.push(act);
  }

  /** Runs again and takes things up in the order in which they came. */
  resume(forgets: boolean): void {
    this.isDown = false;
    if (forgets) this.memory += 1;
    const acts = this.#onBack;
    this.#onBack = [];
    for (const act of acts) act();
  }

  /** What to do with a packet once the controller hands it out. */
  whenHandedOut(act: () => void): void {
    this.#onHandedOut.push(act);
  }

  /** The controller hands out what it held, in the order in which it came. */
  handOut(): void {
    this.isCutOff = false;
    const acts = this.#onHandedOut;
    this.#onHandedOut = [];
    for (const act of acts) act();
  }
}
