/**
 * What comes out of a simulation.
 */
import type { AnonymityReport } from './anonymity.ts';
import type { AttackReport } from './attack.ts';
import type { HostileReport } from './hostile.ts';
import type { Spread } from './sample.ts';
import type { SimulationSpec } from './spec.ts';
import type { TrafficReport } from './traffic.ts';

/** Times of mails of one size, from the entry's 250 on. */
export interface MailTimes {
  readonly bytes: number;
  readonly fragments: number;
  /** Until its exit has all fragments. */
  readonly keptMs: Spread;
  /** Until its exit hands it to Postfix. */
  readonly deliveredMs: Spread;
  /** Of the latter, what 0, 1, … 100 % of mails are not above; empty where there were none. */
  readonly deliveredPercentilesMs: readonly number[];
}

/** All that came out; times in ms, sizes in bytes, shares from 0 to 1. */
export interface SimulationReport {
  readonly spec: SimulationSpec;
  readonly traffic: TrafficReport;
  readonly latency: {
    /** Until an exit has the first fragment of a mail, whatever its size. */
    readonly firstFragmentMs: Spread;
    readonly bySize: readonly MailTimes[];
  };
  readonly anonymity: {
    readonly strict: AnonymityReport;
    readonly loopix: AnonymityReport;
    /** The strict observer's bits of doubt that 0, 1, … 100 % of packets are not above. */
    readonly senderBitsPercentiles: readonly number[];
  };
  readonly hostile: HostileReport;
  readonly delivery: {
    readonly mails: number;
    readonly delivered: number;
    /** Sends beyond the first, and fragments that came twice, per fragment. */
    readonly resends: number;
    readonly duplicates: number;
    readonly lostPackets: number;
  };
  readonly attack: AttackReport | null;
  /** What an operator should mind, as sentences. */
  readonly warnings: readonly string[];
}
