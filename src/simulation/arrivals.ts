/**
 * Who writes to whom, when, and how much: users of each provider at random times of a Poisson clock, mails of a
 * few sizes, now and then several at once.
 */
import type { Random } from '../crypto/primitives.ts';
import { drawExponentialMs } from '../mixnet/delay.ts';
import { drawOne, drawUnit, drawWeighted } from '../mixnet/draw.ts';
import type { Submission } from './network-options.ts';

/** One of the sizes that mails have. */
export interface MailSize {
  readonly bytes: number;
  /** Share of the mails, any unit. */
  readonly weight: number;
}

/** How much is written. */
export interface MailLoad {
  /** Peer ids of the gateways. */
  readonly gateways: readonly string[];
  readonly mailsPerDayAndGateway: number;
  readonly sizes: readonly MailSize[];
  /** Mean of the number of mails that come at once, geometric; 1 for always one. */
  readonly burst: number;
}

const DAY_MS = 86_400_000;

/** All mails from one time to another, in the order of their times; none from a gateway to itself. */
export function* arrivals(
  random: Random,
  load: MailLoad,
  fromMs: number,
  untilMs: number,
): Generator<Submission> {
  const { gateways, mailsPerDayAndGateway, sizes, burst } = load;
  const perDay = (gateways.length * mailsPerDayAndGateway) / burst;
  if (perDay <= 0 || gateways.length < 2) return;
  let atMs = fromMs + drawExponentialMs(random, DAY_MS / perDay);
  while (atMs < untilMs) {
    const from = drawOne(random, gateways) as string;
    const to = drawOne(
      random,
      gateways.filter((gateway) => gateway !== from),
    ) as string;
    do {
      const size = drawWeighted(random, sizes, ({ weight }) => weight);
      yield { atMs, from, to, bytes: size?.bytes ?? 0 };
    } while (drawUnit(random) > 1 / burst);
    atMs += drawExponentialMs(random, DAY_MS / perDay);
  }
}
