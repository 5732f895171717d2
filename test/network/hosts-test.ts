/**
 * `test` for files that make test hosts: skipped where none can be made, with the reason said once.
 * PANORAMIX_TEST_HOSTS=required makes that a failure instead, for machines where they must run.
 */
import test, { type TestFn } from 'ava';
import { whyNoHosts } from './namespaces.ts';

const reason = await whyNoHosts();
if (reason !== null) {
  if (process.env['PANORAMIX_TEST_HOSTS'] === 'required') throw new Error(reason);
  console.warn(`Tests with hosts of their own are skipped: ${reason}`);
}

/** Declares a test that is skipped where there are no test hosts. */
export const hostsTest: TestFn['serial'] | TestFn['skip'] =
  reason === null ? test.serial : test.serial.skip;
