/**
 * What an operator should mind in a report, as sentences with the number and what would help.
 */
import type { SimulationReport } from './report.ts';

/** Loopix §4.3.1: fewer packets in a mix and its delays hide little. */
export const OCCUPANCY_MIN = 2;
/** Below so many gateways that are as good as equally likely, the sender is all but known. */
export const SENDER_SET_MIN = 3;
/** Below this share of the possible doubt the mixes, not the number of providers, are what is missing. */
const SENDER_BITS_SHARE_MIN = 0.9;
const LOAD_MAX = 0.8;

/** What stands in a report besides its warnings. */
type Findings = Omit<SimulationReport, 'warnings'>;

/** Nothing where all is well. */
export function warningsOf(report: Findings): readonly string[] {
  const { traffic, anonymity, delivery, spec, hostile } = report;
  const { senderSet, senderBits, senderBitsMax } = anonymity.strict;
  const warnings: string[] = [];
  if (traffic.occupancy < OCCUPANCY_MIN) {
    warnings.push(
      `A mix holds ${traffic.occupancy.toFixed(1)} packets on average (λ/μ), fewer than ${OCCUPANCY_MIN}: ` +
        'more ticks per second or a longer delay are needed.',
    );
  }
  if (senderSet < SENDER_SET_MIN) {
    warnings.push(
      `Whoever sees all wires must choose between ${senderSet.toFixed(1)} senders: ` +
        `${spec.providers} providers are few to hide among.`,
    );
  }
  if ((senderBits.mean ?? 0) < SENDER_BITS_SHARE_MIN * senderBitsMax) {
    warnings.push(
      `Doubt about the sender is ${(senderBits.mean ?? 0).toFixed(2)} bits of ${senderBitsMax.toFixed(2)}: ` +
        'a longer delay or more packets would bring it closer.',
    );
  }
  if (traffic.load > LOAD_MAX) {
    warnings.push(
      `Mail takes ${(100 * traffic.load).toFixed(0)} % of the ticks to an exit: it waits long. ` +
        'More ticks per second are needed.',
    );
  }
  if (delivery.delivered < delivery.mails) {
    warnings.push(
      `${delivery.mails - delivery.delivered} of ${delivery.mails} mails had not arrived a day later.`,
    );
  }
  if (hostile.oneWay > 0 && hostile.mixes.length >= spec.mixesPerRoute) {
    warnings.push(
      `If these work together: ${hostile.mixes.join(', ')}, they see ${(100 * hostile.oneWay).toFixed(1)} % of all ways whole.`,
    );
  }
  return warnings;
}
