/**
 * A fault planted into a real mixnet from outside: something on the first gateway's links repeats each of
 * its packets a little later, as a broken link retry would. Controllers store a repeat once, so nothing
 * but the wire shows it.
 */
import { PACKET } from './capture.ts';
import { GATEWAYS, type RecordedMixnet } from './recorded-mixnet.ts';

/** Runs something with the fault in place. */
export async function withRepeats<Result>(
  recorded: RecordedMixnet,
  afterMs: number,
  run: () => Promise<Result>,
): Promise<Result> {
  const { recorder } = recorded;
  recorder.tamper = ({ by, what }, repeat) => {
    if (what === PACKET && recorded.nameOf(by) === GATEWAYS[0]) setTimeout(repeat, afterMs);
  };
  try {
    return await run();
  } finally {
    recorder.tamper = () => undefined;
  }
}
