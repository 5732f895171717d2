/**
 * A run of power cuts, in figures: so many at random moments with `appendfsync always`, nothing of which may cost
 * anything, then with `everysec`, which must.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { anySurvives, NOTHING_SURVIVES } from './disk.ts';
import type { MailVerdict } from './mail-flow.ts';
import { PoweredMixnet, type Outage, type OutageOptions } from './outage.ts';

/** Between a boot and the next cut; no longer than mail takes, so that some is in every queue. */
const MOMENT_MS_MIN = 1_500;
const MOMENT_MS_MAX = 6_000;
/** Until Redis has begun to sync once a second. */
const EVERY_SECOND_MS = 2_500;
/** A busy second may have had no mail in it. */
const EVERY_SECOND_CUTS_MAX = 4;
/** Resends wait for acks that were lost with the power, each time longer (src/mixnet/arq.ts). */
const SETTLE_MS_MAX = 120_000;
const SETTLE_EVERY_SECOND_MS = 30_000;
/** A delivery at the moment of a cut: the receiver had it, the exit's record of that was not synced. */
const AT_A_CUT_MS = 2_500;

export interface RunOptions extends OutageOptions {
  readonly outages: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
  /** Ends the run after what it is at, programs and all. */
  readonly signal?: AbortSignal;
}

/** What a run has come to. */
export interface RunFigures {
  readonly outages: readonly Outage[];
  readonly mail: MailVerdict;
  /** Of `mail.twice`, those that no delivery at the moment of a cut explains. */
  readonly twiceUnexplained: readonly string[];
  /** Packets that a controller has twice. */
  readonly storedTwice: readonly string[];
  /** Mails that the last of so many cuts cost, each Redis syncing once a second. */
  readonly everySecond: { readonly cuts: number; readonly lost: number };
}

/** @throws Error where a cut cannot be carried out, the mixnet is not well within a minute after one, or `signal` came */
export async function runPowerCuts(options: RunOptions): Promise<RunFigures> {
  const { random, say, signal } = options;
  const powered = await PoweredMixnet.start(options);
  const { mail, packets } = powered;
  try {
    const outages: Outage[] = [];
    mail.start();
    await mail.crosses(SETTLE_MS_MAX);
    while (outages.length < options.outages) {
      const waitMs = MOMENT_MS_MIN + random() * (MOMENT_MS_MAX - MOMENT_MS_MIN);
      await sleep(waitMs, undefined, { signal });
      const survival = outages.length % 2 === 0 ? NOTHING_SURVIVES : anySurvives(random);
      outages.push(await powered.outage(survival));
      say(lineOf(outages.length, outages.at(-1) as Outage));
    }
    await mail.stop();
    await powered.settle(SETTLE_MS_MAX);
    const verdict = mail.verdict();
    const storedTwice = packets.storedTwice();
    const everySecond = await cutEverySecond(powered, verdict.lost.length, options);
    return {
      outages,
      mail: verdict,
      twiceUnexplained: unexplained(verdict, outages),
      storedTwice,
      everySecond,
    };
  } finally {
    await powered.stop();
  }
}

/** The same cuts, of a mixnet that does not sync what it acknowledges: only what they cost counts here. */
async function cutEverySecond(
  powered: PoweredMixnet,
  lostBefore: number,
  { say, signal }: RunOptions,
): Promise<RunFigures['everySecond']> {
  const { mail } = powered;
  let [cuts, lost] = [0, 0];
  while (lost === 0 && cuts < EVERY_SECOND_CUTS_MAX) {
    await powered.syncEverySecond();
    mail.start();
    await sleep(EVERY_SECOND_MS, undefined, { signal });
    const outage = await powered.outage(NOTHING_SURVIVES, 0);
    say(`with everysec: ${lineOf(++cuts, outage)}`);
    await mail.stop();
    await powered.settle(SETTLE_EVERY_SECOND_MS);
    lost = mail.verdict().lost.length - lostBefore;
  }
  return { cuts, lost };
}

/** What must not be, in words; empty where all is well. */
export function failuresOf(figures: RunFigures): string[] {
  const { outages, mail, twiceUnexplained, storedTwice, everySecond } = figures;
  const accepted = outages.reduce((sum, outage) => sum + outage.replaysAccepted, 0);
  const replayed = outages.reduce((sum, outage) => sum + outage.replayed, 0);
  return [
    ...some(mail.lost.length, `mails lost: ${mail.lost.join(' ')}`),
    ...some(mail.altered.length, `mails altered: ${mail.altered.join(' ')}`),
    ...some(mail.refused.length, `mails refused: ${mail.refused[0]}`),
    ...some(twiceUnexplained.length, `mails twice, no cut explains it: ${twiceUnexplained[0]}`),
    ...some(storedTwice.length, `packets passed on twice: ${storedTwice[0]}`),
    ...some(accepted, 'old packets accepted again'),
    ...(replayed > 0 ? [] : ['no old packet was given again']),
    ...(outages.some(({ bytes, steps }) => bytes + steps > 0)
      ? []
      : ['no cut took anything: every byte had been synced']),
    ...(everySecond.lost > 0 ? [] : ['with everysec nothing was lost: the cuts prove nothing']),
  ];
}

function some(count: number, what: string): string[] {
  return count > 0 ? [`${count} ${what}`] : [];
}

/** A few lines about a run. */
export function summaryOf({ outages, mail, twiceUnexplained, everySecond }: RunFigures): string[] {
  const sum = (of: (outage: Outage) => number): number =>
    outages.reduce((total, outage) => total + of(outage), 0);
  const slowest = Math.max(...outages.map(({ wellMs }) => wellMs)) / 1000;
  return [
    `${outages.length} cuts took ${sum(({ bytes }) => bytes)} bytes and ${sum(({ steps }) => steps)} steps that were not synced`,
    `${mail.accepted} mails accepted, ${mail.lost.length} lost, ${mail.altered.length} altered, ${mail.twice.length} twice ` +
      `(${twiceUnexplained.length} of them not at a cut)`,
    `${sum(({ replayed }) => replayed)} old packets given again, ${sum(({ replaysAccepted }) => replaysAccepted)} accepted`,
    `well again within ${slowest.toFixed(1)} s of the power's return at the latest`,
    `with everysec: ${everySecond.lost} mails lost at cut ${everySecond.cuts}`,
  ];
}

function lineOf(number: number, outage: Outage): string {
  const { programs, underWay, bytes, steps, files, wellMs, restarts, replayed } = outage;
  return (
    `cut ${number}: ${programs} programs, ${underWay} mails under way; ${bytes} bytes of ${files.length} files ` +
    `and ${steps} steps gone; well after ${(wellMs / 1000).toFixed(1)} s, ${restarts.length} started again; ` +
    `${replayed} old packets, ${outage.replaysAccepted} accepted`
  );
}

function unexplained({ twice }: MailVerdict, outages: readonly Outage[]): string[] {
  return twice.flatMap(({ recipient, firstMs }) =>
    outages.some(({ atMs }) => Math.abs(atMs - firstMs) < AT_A_CUT_MS) ? [] : [recipient],
  );
}
