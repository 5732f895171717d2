/**
 * What is simulated: who takes part, how much mail there is, what all have agreed on, and what goes wrong.
 */
import { MAIL_PARAMS } from './made-directory.ts';
import type { MailSize } from './arrivals.ts';
import type { SphinxParams } from '../sphinx/index.ts';

export interface SimulationSpec {
  readonly providers: number;
  /** Mixes of other owners than the providers. */
  readonly mixes: number;
  /** Whether each provider's node relays for others, too. */
  readonly providersMix: boolean;
  /** Of each provider; those that opt in. */
  readonly users: number;
  /** Of each user, to users of other providers. */
  readonly mailsPerDay: number;
  readonly sizes: readonly MailSize[];
  /** Mean number of mails that come at once. */
  readonly burst: number;
  readonly ticksPerSecond: number;
  readonly loopsPerSecond: number;
  readonly delayMeanMs: number;
  readonly exitDelayMeanMs: number;
  readonly mixesPerRoute: number;
  readonly params: SphinxParams;
  /** Share of packets lost, and doubled, on each link. */
  readonly loss: number;
  readonly duplication: number;
  /** Mixes that work together against the others. */
  readonly hostile: number;
  readonly hours: number;
  readonly seed: number;
  /** n-1 attacks that are tried. */
  readonly attacks: number;
}

/** The product's defaults, and a mixnet of four providers as it may begin. */
export const DEFAULT_SPEC: SimulationSpec = {
  providers: 4,
  mixes: 3,
  providersMix: false,
  users: 500,
  mailsPerDay: 10,
  sizes: [
    { bytes: 15_000, weight: 60 },
    { bytes: 100_000, weight: 30 },
    { bytes: 1_000_000, weight: 8 },
    { bytes: 5_000_000, weight: 2 },
  ],
  burst: 1,
  ticksPerSecond: 2,
  loopsPerSecond: 2,
  delayMeanMs: 2000,
  exitDelayMeanMs: 20_000,
  mixesPerRoute: 3,
  params: MAIL_PARAMS,
  loss: 0,
  duplication: 0,
  hostile: 1,
  hours: 6,
  seed: 1,
  attacks: 100,
};

/** Why a mixnet cannot be simulated, as a sentence, or null. */
export function refuseSpec(spec: SimulationSpec): string | null {
  const { providers, mixes, providersMix, mixesPerRoute, loss, duplication, hostile } = spec;
  if (providers < 2) return 'mail between providers needs at least 2 of them';
  const eligible = mixes + (providersMix ? providers - 2 : 0);
  if (eligible < mixesPerRoute) {
    return (
      `a route of ${mixesPerRoute} mixes needs as many owners beside the two providers at its ends; ` +
      `there are ${eligible}`
    );
  }
  if (mixes + providers > 200) return 'more than 200 nodes are too many for one computer';
  if (loss + duplication > 0.5) return 'with so many packets lost or doubled nothing would arrive';
  if (hostile > eligible) return `there are only ${eligible} mixes that could be hostile`;
  return null;
}
