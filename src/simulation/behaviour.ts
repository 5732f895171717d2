/**
 * What a simulated node does by the product's rules. A test that is to find a leak replaces one of them;
 * the product itself has no such place.
 */
import type { Random } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { decideTick, type TickChoice } from '../mixnet/ticks.ts';
import type { SimulatedPacket } from './packet.ts';

/** The rules on which it rests that no link's rate depends on mail. */
export interface Behaviour {
  /** What a gateway sends at a tick; null for nothing. */
  decide(
    random: Random,
    directory: Directory,
    nowMs: number,
    isWaiting: (exit: string) => boolean,
    gateway: string,
  ): TickChoice | null;
  /** Rate of a gateway's clock: the snapshot's, whatever waits. */
  ticksPerSecond(agreed: number, gateway: string, waitingFragments: number): number;
  /** Whether an exit answers a fragment or cover with an ack. */
  answers(packet: SimulatedPacket, exit: string): boolean;
}

/** The product's. */
export const PRODUCT: Behaviour = {
  decide: decideTick,
  ticksPerSecond: (agreed) => agreed,
  answers: () => true,
};
