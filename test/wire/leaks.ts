/**
 * Leaks planted into the simulated mixnet, each one that a real implementation might have: the wire test
 * must catch all of them.
 */
import type { Behaviour } from '../../src/simulation/behaviour.ts';
import { decideTick, drawExit } from '../../src/mixnet/ticks.ts';
import { WATCHED } from './simulated-runs.ts';

const [, RECEIVER] = WATCHED.gateways as [string, string];

/** By name. */
export const LEAKS: Readonly<Record<string, Partial<Behaviour>>> = {
  /** A tick at which no mail waits sends nothing. */
  'cover off': {
    decide: (random, directory, nowMs, isWaiting) => {
      const choice = decideTick(random, directory, nowMs, isWaiting);
      return choice?.take === 'cover' ? null : choice;
    },
  },
  /** Cover goes to all exits but the receiver's: it reaches the receiver's only as mail. */
  'cover not going to B': {
    decide: (random, directory, nowMs, isWaiting) => {
      const choice = decideTick(random, directory, nowMs, isWaiting);
      if (choice === null || choice.take === 'fragment' || choice.exit !== RECEIVER) return choice;
      for (;;) {
        const exit = drawExit(random, directory, nowMs);
        if (exit !== RECEIVER) return exit === null ? null : { exit, take: 'cover' };
      }
    },
  },
  /** Exits ack what they have kept, and keep silent about cover. */
  'cover without acks': { answers: ({ kind }) => kind === 'fragment' },
  /** The clock of a gateway with mail waiting goes a little faster. */
  'ticks 5 % faster under load': {
    ticksPerSecond: (agreed, _gateway, waiting) => (waiting > 0 ? 1.05 * agreed : agreed),
  },
};
