/**
 * `test` for files that start a private Postfix: one after the other, because they share instances,
 * and skipped where no Postfix can run, with the reason said once.
 */
import test, { type TestFn } from 'ava';
import { whyNoPostfix } from './private-postfix.ts';

const reason = await whyNoPostfix();
if (reason !== null) console.warn(`Tests with Postfix are skipped: ${reason}`);

/** Declares a test that is skipped where there is no Postfix. */
export const postfixTest: TestFn['serial'] | TestFn['skip'] =
  reason === null ? test.serial : test.serial.skip;

/** Starts before the tests what they share; nothing where there is no Postfix. */
export function beforePostfixTests(start: () => Promise<void>): void {
  if (reason === null) test.before(start);
}
