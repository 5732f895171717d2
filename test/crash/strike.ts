/**
 * One kill -9 and what follows: what `status` says while the victim is down, and how long after its restart
 * the whole system is well again by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kill } from './ledger.ts';
import type { Strike } from './table.ts';
import type { Victim } from './victims.ts';

/** After its restart; what the issue allows. */
const WELL_MS_MAX = 60_000;
const LOOK_MS = 200;

/** What is struck at, in the words of the table. */
export interface Blow {
  readonly step: string;
  readonly moment: string | null;
  readonly victim: Victim;
  /** How long its service manager waits. */
  readonly downMs: number;
  /** Once it is dead: drops what a proxy holds. */
  readonly afterDeath?: () => void;
}

export interface StrikeOptions {
  /** All of the system, the victim too. */
  readonly victims: Iterable<Victim>;
  /** Whether something else was struck on its host, and whoever struck there watches until it is well. */
  readonly isStruckToo: (victim: Victim) => boolean;
  readonly onKill: (kill: Kill) => void;
  /** Why something is not well, for who wonders what is waited for. */
  readonly say: (text: string) => void;
}

/** Kills, and watches until all is well again, for a minute at most. */
export async function strike(blow: Blow, options: StrikeOptions): Promise<Strike> {
  const { victim, step, moment, downMs } = blow;
  const startsBefore = victim.starts;
  const atMs = Date.now();
  await victim.kill(downMs);
  options.onKill({ atMs, victim: victim.name });
  options.onKill({ atMs: Date.now(), victim: victim.name });
  blow.afterDeath?.();
  const { looks, lies } = await lookWhileDown(victim, startsBefore);
  const startedMs = Date.now();
  const endMs = startedMs + WELL_MS_MAX;
  const alarms = await untilWell(victim, endMs, options);
  const wellAfterMs = alarms === null ? null : Date.now() - startedMs;
  const about = { step, moment, victim: victim.name, kind: victim.kind, atMs };
  return { ...about, wellAfterMs, alarms: alarms ?? 0, looks, lies };
}

/** Until its service manager has started it. A look counts if the victim was down from its begin to its end. */
async function lookWhileDown(
  victim: Victim,
  startsBefore: number,
): Promise<{ readonly looks: number; readonly lies: number }> {
  let [looks, lies] = [0, 0];
  while (victim.starts === startsBefore) {
    const saysWell = (await victim.ailment()) === null;
    if (victim.starts === startsBefore && !(await victim.isRunning())) {
      looks++;
      if (saysWell) lies++;
    }
    await sleep(LOOK_MS);
  }
  return { looks, lies };
}

/**
 * First the victim, then everybody: what it did to others shows there.
 * @returns how many of them then say that their own packets come back late; null where something else is wrong at the end
 */
async function untilWell(
  victim: Victim,
  endMs: number,
  { victims, isStruckToo, say }: StrikeOptions,
): Promise<number | null> {
  let alarms = 0;
  for (const each of [victim, ...victims]) {
    let ailment = await each.ailment();
    while (ailment !== null && !ailment.isAlarmAlone && !isStruckToo(each)) {
      if (Date.now() > endMs) {
        say(`${each.name} is not well: ${ailment.text}`);
        return null;
      }
      await sleep(LOOK_MS);
      ailment = await each.ailment();
    }
    if (ailment?.isAlarmAlone === true && each.kind !== 'redis') alarms++;
  }
  return alarms;
}
