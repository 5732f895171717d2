/**
 * One program on a machine whose power fails by itself after so many steps, each time one later: what it had
 * said by then, and what a cut leaves.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Survival } from './disk.ts';
import type { Machine } from './machine.ts';

const LOOK_MS = 5;

/** A file of src/, as a literal for the text of a program. */
export const sourceOf = (name: string): string =>
  JSON.stringify(join(import.meta.dirname, '../../src', name));

export interface FailingRun {
  /** Lines that the program had written to its output. */
  readonly said: readonly string[];
  /** False where it came to its end. */
  readonly hasFailed: boolean;
}

/**
 * Runs it, and cuts the power when that has failed or the program has ended.
 * @param program text of a Node module
 * @param failsAfter notes of one process: node, or the redis-server that it starts
 * @throws Error where it ended by itself otherwise than well
 */
export async function runUntilPowerFails(
  machine: Machine,
  program: string,
  failsAfter: number,
  survival: Survival,
): Promise<FailingRun> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: machine.disk,
    env: { ...process.env, ...machine.environment, POWER_LOSS_AT: String(failsAfter) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  while (child.exitCode === null && !machine.isOff) await sleep(LOOK_MS);
  const hasFailed = machine.isOff;
  machine.cut(survival);
  await ended;
  if (!hasFailed && child.exitCode !== 0) throw new Error(`it ended by itself after ${text}`);
  return { said: text.split('\n').slice(0, -1), hasFailed };
}
