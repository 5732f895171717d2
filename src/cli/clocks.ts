/** A node's watch over the clocks of its machine and of the controllers that it knows. */
import { catalogUrlOf } from '../api/signed.ts';
import type { Clocks } from '../client/clocks.ts';
import type { ControllerClient } from '../client/controller.ts';
import type { Log } from '../log.ts';
import { ClockWatch } from '../mixer/clock-watch.ts';
import { controllersOf } from '../mixer/directory-sources.ts';
import type { TrustedClock } from '../mixer/trusted-clock.ts';
import type { Directory } from '../mixnet/directory.ts';
import { writeClockReport } from '../redis/clock-report.ts';
import type { Store } from '../redis/embedded.ts';

export interface ClockOptions {
  /** What the clients note. */
  readonly clocks: Clocks;
  readonly clientFor: (url: string) => Pick<ControllerClient, 'askTime'>;
  /** The own controller, and the one where the owners meet. */
  readonly ownUrl: string;
  readonly catalogUrl: string;
  /** The last directory; null before the first, and for a batch mixnet. */
  readonly last: () => Directory | null;
  readonly store: Store;
  /** The time that the node goes by. */
  readonly time: TrustedClock;
  /** Told when the clock is right again. */
  readonly onSet: () => void;
  readonly log: Log;
}

/** Starts the watch. */
export function startClockWatch(options: ClockOptions): ClockWatch {
  const { clocks, clientFor, ownUrl, catalogUrl, last, store, time, onSet, log } = options;
  const watch = new ClockWatch({
    clocks,
    ownUrl: catalogUrlOf(ownUrl),
    controllers: () => {
      const urls = [ownUrl, catalogUrl, ...controllersOf(last())];
      return [...new Set(urls.map(catalogUrlOf))];
    },
    ask: async (url) => await clientFor(url).askTime(),
    log,
    time,
    onSet,
    write: async (verdict) => await writeClockReport(store, verdict),
  });
  watch.start();
  return watch;
}
