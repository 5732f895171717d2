/**
 * Watches whether this machine's clock and those of the controllers agree. Where it is off by more than
 * requests may be, all that it sends is refused, and what it holds to be due, valid or expired is not: so
 * nothing new begins, mail waits, and the operator reads why, until the clock is put right.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CLOCKS_AGREE,
  differenceText,
  isOff,
  judgeClocks,
  type ClockDifference,
  type Clocks,
  type ClockVerdict,
} from '../client/clocks.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DirectoryStore } from './directory-store.ts';

const LOOK_MS_DEFAULT = 2_000;
const REPORT_MS = 10_000;
/** An answer older than this tells nothing: its controller's clock may have been put right. */
const FRESH_MS = 10 * 60_000;
/** While clocks differ all are asked again, this often. */
const ASK_MS_DEFAULT = 30_000;
/** So many are asked of a large mixnet, others each time. */
const ASKED_MAX = 16;
const ANSWER_MS_MAX = 5_000;

export interface ClockWatchOptions {
  readonly clocks: Pick<Clocks, 'differences'>;
  /** Catalog URL of the own controller. */
  readonly ownUrl: string;
  /** Controllers that may be asked: those of the directory, and where the owners meet. */
  readonly controllers: () => readonly string[];
  /** Asks one for its time, which `clocks` then notes. */
  readonly ask: (url: string) => Promise<void>;
  readonly log: Log;
  /** Leaves what `status` shows. */
  readonly write: (verdict: ClockVerdict) => Promise<void>;
  readonly lookMs?: number;
  readonly askMs?: number;
}

export class ClockWatch {
  readonly #options: ClockWatchOptions;
  #verdict: ClockVerdict = CLOCKS_AGREE;
  #askedMs = -Infinity;
  #askedFrom = 0;
  #looking: Promise<void> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];

  constructor(options: ClockWatchOptions) {
    this.#options = options;
  }

  start(): void {
    let isLooking = false;
    const look = (): void => {
      if (isLooking) return;
      isLooking = true;
      this.#looking = this.look().finally(() => {
        isLooking = false;
      });
    };
    this.#timers = [
      setInterval(look, this.#options.lookMs ?? LOOK_MS_DEFAULT).unref(),
      setInterval(() => void this.#report(), REPORT_MS).unref(),
    ];
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#looking;
  }

  /** Whether the clock of this machine is wrong, by what most controllers say. */
  isWrong(): boolean {
    return this.#verdict.isOwnWrong;
  }

  /**
   * One look. Nobody is asked while all that has answered lately agrees; what differs is believed only where
   * fresh answers say so, since a computer that slept finds its last ones out of date.
   */
  async look(): Promise<void> {
    const { ownUrl } = this.#options;
    if (!this.#fresh(FRESH_MS).some(isOff)) {
      this.#take(judgeClocks(this.#fresh(FRESH_MS), ownUrl));
      return;
    }
    const askMs = this.#options.askMs ?? ASK_MS_DEFAULT;
    if (performance.now() - this.#askedMs < askMs) return;
    this.#askedMs = performance.now();
    await this.#askSome();
    const answered = this.#fresh(performance.now() - this.#askedMs);
    // Nobody answers: whatever was held stands.
    if (answered.length > 0) this.#take(judgeClocks(answered, ownUrl));
  }

  #fresh(ageMsMax: number): readonly ClockDifference[] {
    return this.#options.clocks.differences().filter(({ ageMs }) => ageMs <= ageMsMax);
  }

  /** Those that differ, and as many others as there is room for. */
  async #askSome(): Promise<void> {
    const { controllers, ask } = this.#options;
    const suspects = this.#fresh(FRESH_MS).filter(isOff);
    const known = new Set(suspects.map(({ url }) => url).slice(0, ASKED_MAX / 2));
    const others = controllers().filter((url) => !known.has(url));
    const from = others.length === 0 ? 0 : this.#askedFrom % others.length;
    const turned = [...others.slice(from), ...others.slice(0, from)];
    const asked = [...known, ...turned.slice(0, ASKED_MAX - known.size)];
    this.#askedFrom += asked.length;
    // A refusal tells the time as well as an answer.
    const asking = Promise.allSettled(asked.map(async (url) => await ask(url)));
    await Promise.race([asking, sleep(ANSWER_MS_MAX, undefined, { ref: false })]);
  }

  #take(verdict: ClockVerdict): void {
    const before = this.#verdict;
    this.#verdict = verdict;
    const { log } = this.#options;
    const { isOwnWrong, aheadMs, heard, differing } = verdict;
    // Set to another wrong time it is said anew.
    const isSet = isOwnWrong && isOff({ aheadMs: aheadMs - before.aheadMs });
    if (isOwnWrong !== before.isOwnWrong || isSet) {
      const difference = differenceText(aheadMs);
      const controllers = differing.map(({ url }) => url);
      if (isOwnWrong) {
        const fields = {
          event: 'clock-wrong',
          reason: 'clock-wrong',
          aheadMs: Math.round(aheadMs),
        };
        log.error(
          { ...fields, controllers, heard },
          `The clock of this machine is ${difference} those of ${differing.length} of ${heard} controllers: mail waits until it is put right`,
        );
      } else {
        log.info(
          { event: 'clock-right', heard },
          'The clock of this machine agrees with those of the controllers again',
        );
      }
    }
    if (!isOwnWrong) this.#sayOthers(before.isOwnWrong ? [] : before.differing, differing);
    if (isOwnWrong !== before.isOwnWrong) void this.#report();
  }

  /** Controllers whose clocks are wrong, as far as most others agree with ours. */
  #sayOthers(before: readonly ClockDifference[], now: readonly ClockDifference[]): void {
    const { log } = this.#options;
    for (const { url, aheadMs } of now) {
      if (before.some((one) => one.url === url)) continue;
      log.warn(
        { event: 'clock-differs', controller: url, aheadMs: Math.round(aheadMs) },
        `Our clock is ${differenceText(aheadMs)} that of a controller, and agrees with most others: what goes there waits`,
      );
    }
    for (const { url } of before) {
      if (now.some((one) => one.url === url)) continue;
      log.info(
        { event: 'clock-agrees', controller: url },
        'The clock of a controller is right again',
      );
    }
  }

  async #report(): Promise<void> {
    await this.#options.write(this.#verdict).catch((thrown: unknown) => {
      const { code } = asPanoramixError(thrown);
      this.#options.log.debug(
        { event: 'clock-report-failed', reason: code },
        'No report on clocks',
      );
    });
  }
}

/** A directory store of which nothing new begins while the own clock is wrong. */
export type TimelyDirectory = Pick<DirectoryStore, 'last' | 'refresh' | 'remembers'> & {
  current():
    ReturnType<DirectoryStore['current']> | { readonly ok: false; readonly reason: 'clock-wrong' };
};

/** The store, with `clock-wrong` before any other reason: by a wrong clock those are not true, either. */
export function whileClockIsRight(
  store: DirectoryStore,
  watch: Pick<ClockWatch, 'isWrong'>,
): TimelyDirectory {
  return {
    current: () => (watch.isWrong() ? { ok: false, reason: 'clock-wrong' } : store.current()),
    last: () => store.last(),
    refresh: async () => await store.refresh(),
    remembers: (domain) => store.remembers(domain),
  };
}
