/** What must not be after a crash run, each in words with what it concerns; nothing for a run that passed. */
import { readFile } from 'node:fs/promises';
import type { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import type { Verdict } from './ledger.ts';
import type { StepRow, Strike } from './table.ts';

/** Second copies that a death explains, of 10 000 mails or of fewer. */
const TWICE_MAX = 10;
const TWICE_OF = 10_000;
/** What Node or `runProgram` says last. */
const UNHANDLED = /ended by an error that nobody handled|Uncaught|FATAL ERROR/;
const LINE_CHARACTERS_MAX = 1_000;

/** A service manager hides programs that die of their own errors: their logs tell. */
export async function endedByThemselves(
  mixnet: Pick<DemoMixnet, 'programs' | 'logOf'>,
): Promise<string[]> {
  const said = await Promise.all(
    mixnet.programs.map(async ({ name }) => {
      const log = await readFile(mixnet.logOf(name), 'utf8');
      return log
        .split('\n')
        .filter((line) => UNHANDLED.test(line))
        .map((line) => `${name} died of its own error: ${line.slice(0, LINE_CHARACTERS_MAX)}`);
    }),
  );
  return said.flat();
}

/** All that must not be, in words. */
export function faultsOf(
  verdict: Verdict,
  strikes: readonly Strike[],
  rows: readonly StepRow[],
  hitsEach: number,
): string[] {
  const { lost, altered, twice, strangers } = verdict;
  const unexplained = twice.filter(({ cause }) => cause === null);
  const ours = twice.filter(({ cause }) => cause !== 'postfix delivered twice');
  const twiceMax = Math.round(TWICE_MAX * Math.max(1, verdict.accepted / TWICE_OF));
  const unwell = strikes.filter(({ wellAfterMs }) => wellAfterMs === null);
  const lied = strikes.filter(({ lies }) => lies > 0);
  const few = rows.filter(({ hits }) => hits < hitsEach);
  return [
    ...(verdict.accepted === 0 ? ['no mail was accepted'] : []),
    ...some(lost, 'lost'),
    ...some(
      altered.map(({ path }) => path),
      'altered',
    ),
    ...some(strangers, 'nobody waits for'),
    ...some(
      unexplained.map(({ number }) => number),
      'twice, and no death explains it',
    ),
    ...(ours.length > twiceMax ? [`${ours.length} twice, more than ${twiceMax}`] : []),
    ...some(
      unwell.map(({ victim, step }) => `${victim} (${step})`),
      'not well within a minute',
    ),
    ...some(
      lied.map(({ victim }) => victim),
      'called well while down',
    ),
    ...some(
      few.map(({ step, hits }) => `${step}: ${hits}`),
      `hit less than ${hitsEach} times`,
    ),
  ];
}

const NAMED_MAX = 20;

function some(which: readonly (string | number)[], what: string): string[] {
  if (which.length === 0) return [];
  const more = which.length > NAMED_MAX ? ', …' : '';
  return [`${which.length} ${what}: ${which.slice(0, NAMED_MAX).join(', ')}${more}`];
}
