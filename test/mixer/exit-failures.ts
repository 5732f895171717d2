/** What an exit does about failures, over a real store, with a reporter that only keeps. */
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { Failures, type FailuresOptions } from '../../src/mixer/failures.ts';
import { Reporter } from '../../src/mixer/reporter.ts';
import type { Directory } from '../../src/mixnet/directory.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';

/** The failures of an exit whose reports nobody sends. */
export function exitFailures(
  store: Store,
  storageKey: Uint8Array,
  directory: Directory,
  over: Partial<FailuresOptions> = {},
): Failures {
  const keys = { primitives: native, storageKey };
  const reports = new ReportStore(store, keys);
  const said = { counters: new Counters(), log: silentLog, now: Date.now };
  const source = { last: () => directory, current: () => ({ ok: true, directory }) as const };
  const reporter = new Reporter({
    ...said,
    reports,
    primitives: native,
    me: '',
    directory: source,
    deliver: nobody,
    accept: nobody,
  });
  return new Failures({
    ...said,
    returns: new ReturnStore(store, keys),
    reports,
    reporter,
    primitives: native,
    me: '',
    directory: source,
    hasReturns: true,
    pressure: () => 'open',
    ...over,
  });
}

async function nobody(): Promise<never> {
  return await Promise.reject(new Error('not started'));
}
