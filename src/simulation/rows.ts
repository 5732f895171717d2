/**
 * A report as rows for people: what do I get, how long does mail take, what does it cost.
 */
import type { AttackReport, FlushOutcome } from './attack.ts';
import type { SimulationReport } from './report.ts';

/** One line of the answer. */
export interface ReportRow {
  readonly section: string;
  readonly label: string;
  readonly value: string;
}

/** A fragment count for the table: a mail of 1 MB. */
const FRAGMENTS_SHOWN = 30;

/**
 * The rows of a report, the same ones in the same order for two reports of the same mail sizes.
 * @param duration how people say milliseconds
 */
export function reportRows(
  report: SimulationReport,
  duration: (milliseconds: number) => string,
): readonly ReportRow[] {
  const { spec } = report;
  return [
    ...section('The mixnet', [
      ['providers, mixes', `${spec.providers}, ${spec.mixes}${spec.providersMix ? ' + own' : ''}`],
      ['mails a day from one provider', count(spec.users * spec.mailsPerDay)],
      ['ticks a second, mean delay', `${spec.ticksPerSecond}, ${duration(spec.delayMeanMs)}`],
    ]),
    ...section('What you get', protection(report)),
    ...section('How long mail takes', times(report, duration)),
    ...section('What it costs', costs(report)),
  ];
}

function section(name: string, cells: readonly (readonly [string, string])[]): ReportRow[] {
  return cells.map(([label, value]) => ({ section: name, label, value }));
}

function protection({ anonymity, traffic, hostile, attack, spec }: SimulationReport) {
  const { strict } = anonymity;
  const shown = hostile.byFragments.find(({ fragments }) => fragments === FRAGMENTS_SHOWN);
  return [
    ['senders as good as equally likely', `${strict.senderSet.toFixed(2)} of ${spec.providers}`],
    [
      'bits of doubt about the sender',
      `${number(strict.senderBits.mean)} of ${number(strict.senderBitsMax)}`,
    ],
    [
      "Loopix's likelihood difference ε, mean and 95 %",
      `${number(strict.likelihoodDifference.mean)}, ${number(strict.likelihoodDifference.p95)}`,
    ],
    ['packets in a mix on average (λ/μ)', traffic.occupancy.toFixed(1)],
    [
      'of which one looks like how many others',
      `${strict.packetSet.toFixed(1)} (Loopix ${anonymity.loopix.packetSet.toFixed(1)})`,
    ],
    [`hostile mixes that see a whole way`, `${hostile.mixes.length}: ${percent(hostile.oneWay)}`],
    [`… of a mail of ${FRAGMENTS_SHOWN} fragments`, percent(shown?.chance ?? 0)],
    ['n-1 attack: alarm after', attack === null ? '-' : `${seconds(attack.alarmMs.p50)} (median)`],
    ['n-1 attack: succeeds at best', attack === null ? '-' : bestAttack(attack)],
  ] as const;
}

function times(report: SimulationReport, duration: (milliseconds: number) => string) {
  const { latency, traffic } = report;
  const spread = (p50: number | null, p95: number | null): string =>
    p50 === null || p95 === null ? 'no mail' : `${duration(p50)}, ${duration(p95)}`;
  const { firstFragmentMs } = latency;
  return [
    [
      'first fragment at the exit, median and 95 %',
      spread(firstFragmentMs.p50, firstFragmentMs.p95),
    ],
    ...latency.bySize.map(
      ({ bytes, fragments, deliveredMs }) =>
        [
          `${sizeOf(bytes)} (${fragments} ${fragments === 1 ? 'fragment' : 'fragments'}) in the mailbox`,
          spread(deliveredMs.p50, deliveredMs.p95),
        ] as const,
    ),
    ['the most that can go to one exit', `${sizeOf(traffic.exitBytesPerHour)} an hour`],
    ['of that, mail takes', percent(traffic.load)],
  ] as const;
}

function costs({ traffic, delivery }: SimulationReport) {
  return [
    ['a gateway sends', bandwidth(traffic.gatewayBytesPerDay)],
    ['a mix sends', bandwidth(traffic.mixBytesPerDay)],
    ['packets of gateways that are cover', percent(traffic.coverShare)],
    [
      'bytes on all links for a byte of mail',
      traffic.bytesPerMailByte === null ? '-' : traffic.bytesPerMailByte.toFixed(0),
    ],
    ['mails that arrived', `${count(delivery.delivered)} of ${count(delivery.mails)}`],
    ['sent again, arrived twice', `${percent(delivery.resends)}, ${percent(delivery.duplicates)}`],
  ] as const;
}

function bestAttack({ byFlush }: AttackReport): string {
  const best = byFlush.reduce((left: FlushOutcome, right) =>
    right.succeeds > left.succeeds ? right : left,
  );
  return `${percent(best.succeeds)} (after ${seconds(best.flushMs)})`;
}

/** Bytes as people say them, in powers of ten. */
export function sizeOf(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** A share as people say it. */
export function percent(share: number): string {
  const hundredths = 100 * share;
  if (hundredths > 0 && hundredths < 0.01) return '< 0.01 %';
  return `${hundredths.toFixed(hundredths > 0 && hundredths < 10 ? 2 : 1)} %`;
}

function bandwidth(bytesPerDay: number): string {
  return `${sizeOf(bytesPerDay)} a day (${((bytesPerDay * 8) / 86_400 / 1e6).toFixed(2)} Mbit/s)`;
}

function number(value: number | null): string {
  return value === null ? '-' : value.toFixed(2);
}

function seconds(milliseconds: number | null): string {
  return milliseconds === null ? 'never' : `${(milliseconds / 1000).toFixed(1)} s`;
}

function count(value: number): string {
  return value.toLocaleString('en-US').replaceAll(',', ' ');
}
