/**
 * `test` for files that make disks of their own: skipped where none can be made, with the reason said once.
 * PANORAMIX_TEST_DISKS=required makes that a failure instead, for machines where they must run.
 */
import test, { type TestFn } from 'ava';
import { whyNoDisks } from './small-disk.ts';

const reason = await whyNoDisks();
if (reason !== null) {
  if (process.env['PANORAMIX_TEST_DISKS'] === 'required') throw new Error(reason);
  console.warn(`Tests with disks of their own are skipped: ${reason}`);
}

/** Whether disks can be made here. */
export const hasDisks = reason === null;

/** Declares a test that is skipped where there are no disks. */
export const diskTest: TestFn['serial'] | TestFn['skip'] =
  reason === null ? test.serial : test.serial.skip;
