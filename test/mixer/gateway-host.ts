/** What a gateway needs of the node around it, over a real store and without its timers; the clock is the test's. */
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { outboundParts } from './outbound-parts.ts';

export async function gatewayHost(store: Store, now: () => number = Date.now) {
  const parts = await outboundParts(store, { now });
  const { records, sent, emission, counters, held, exit } = parts;
  const view = held.view;
  if (view === null) throw new Error('no view');
  const { directory } = view;
  const host = {
    options: {
      identity: createIdentity(native),
      primitives: native,
      store,
      log: silentLog,
      directory: {
        current: () => ({ ok: true, directory }) as const,
        last: () => directory,
        refresh: async () => await Promise.resolve(),
      },
      storageKey: native.random(32),
    },
    records,
    sent,
    emission,
    isBackedUp: () => false,
    counters,
    now,
    currentView: () => view,
    viewBy: () => view,
  };
  return { host, exit, records };
}
