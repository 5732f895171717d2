/** What an exit does about failures and bounces, over a real store, with a reporter that only keeps. */
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { Bounces } from '../../src/mixer/bounces.ts';
import { ExitReports, type ExitReportsOptions } from '../../src/mixer/exit-reports.ts';
import { Failures } from '../../src/mixer/failures.ts';
import { Reporter } from '../../src/mixer/reporter.ts';
import type { Directory } from '../../src/mixnet/directory.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';

/** Those of an exit whose reports nobody sends; mails of the ids given were taken in by it as an entry. */
export function exitFailures(
  store: Store,
  storageKey: Uint8Array,
  directory: Directory,
  over: Partial<ExitReportsOptions> & { readonly accepted?: readonly string[] } = {},
): { readonly failures: Failures; readonly bounces: Bounces } {
  const { accepted = [], ...rest } = over;
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
  const exitReports = new ExitReports({
    ...said,
    reporter,
    primitives: native,
    me: '',
    directory: source,
    ...rest,
  });
  const wasAccepted = async (id: string) => await Promise.resolve(accepted.includes(id));
  const parts = { ...said, primitives: native, directory: source, reports: exitReports };
  const returns = new ReturnStore(store, keys);
  return {
    failures: new Failures({ ...parts, store: reports, wasAccepted }),
    bounces: new Bounces({ ...parts, returns, hasReturns: true, pressure: () => 'open' }),
  };
}

async function nobody(): Promise<never> {
  return await Promise.reject(new Error('not started'));
}
