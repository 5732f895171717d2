/**
 * Watches whether this machine's clock and those of the controllers agree. Where it is off by more than
 * requests may be, all that it sends is refused, and what it holds to be due, valid or expired is not: so
 * nothing new begins, mail waits, and the operator reads why, until the clock is put right. One that was
 * set is not believed before controllers were asked, nor one with which a machine has started.
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
import { TrustedClock } from './trusted-clock.ts';

const LOOK_MS_DEFAULT = 2_000;
const REPORT_MS = 10_000;
/** An answer older than this tells nothing: its controller's clock may have been put right. */
const FRESH_MS = 10 * 60_000;
/** While clocks differ all are asked again, this often. */
const ASK_MS_DEFAULT = 30_000;
/** So many are asked of a large mixnet, others each time. */
const ASKED_MAX = 16;
const ANSWER_MS_MAX = 5_000;
/**
 * Where no other controller answers, a clock that was set is believed after so much running time: whoever
 * cuts a node off must not keep its keys from ending.
 */
const DOUBT_MS_MAX = 10 * 60_000;

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
  /** The time that the node goes by, told of each verdict; default one of its own. */
  readonly time?: TrustedClock;
  /** Told when the clock is right again after it was wrong, or that it was set to what is right. */
  readonly onSet?: () => void;
  readonly lookMs?: number;
  readonly askMs?: number;
  readonly doubtMs?: number;
}

export class ClockWatch {
  readonly #options: ClockWatchOptions;
  readonly #time: TrustedClock;
  #verdict: ClockVerdict = CLOCKS_AGREE;
  /** Since when the clock is doubted, by one that is never set; null while it is not. */
  #doubtedMs: number | null = null;
  #isSet = false;
  #askedMs = -Infinity;
  #askedFrom = 0;
  #looking: Promise<void> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];

  constructor(options: ClockWatchOptions) {
    this.#options = options;
    this.#time = options.time ?? new TrustedClock();
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

  /** Whether the clock of this machine is wrong, by what most controllers say, or was set and none has said yet. */
  isWrong(): boolean {
    return this.#verdict.isOwnWrong || this.#time.aheadMs() !== 0;
  }

  /**
   * One look. Nobody is asked while all that has answered lately agrees; what differs is believed only where
   * fresh answers say so, since a computer that slept finds its last ones out of date.
   */
  async look(): Promise<void> {
    const { askMs = ASK_MS_DEFAULT, ownUrl } = this.#options;
    const lately = this.#fresh(FRESH_MS);
    const isSet = this.#time.aheadMs() !== 0 && !this.#verdict.isOwnWrong;
    const isNew = isSet !== this.#isSet;
    this.#isSet = isSet;
    if (isNew && isSet) this.#saySet();
    const isDoubted = isSet || !this.#time.isKnown();
    this.#doubtedMs = isDoubted ? (this.#doubtedMs ?? performance.now()) : null;
    if (!isSet && !lately.some(isOff) && (!isDoubted || this.#isEnough(lately))) {
      this.#take(judgeClocks(lately, ownUrl));
      return;
    }
    if (!isNew && performance.now() - this.#askedMs < askMs) return;
    this.#askedMs = performance.now();
    await this.#askSome();
    const answered = this.#fresh(performance.now() - this.#askedMs);
    // Nobody answers: whatever was held stands.
    if (this.#isEnough(answered)) this.#take(judgeClocks(answered, ownUrl));
  }

  /** Whether these answers are worth a verdict: the own controller's alone is only where nobody else's comes. */
  #isEnough(answers: readonly ClockDifference[]): boolean {
    const { ownUrl, controllers, doubtMs = DOUBT_MS_MAX } = this.#options;
    if (answers.some(({ url }) => url !== ownUrl)) return true;
    const isAlone = controllers().every((url) => url === ownUrl);
    if (this.#doubtedMs === null || isAlone) return answers.length > 0;
    return performance.now() - this.#doubtedMs >= doubtMs;
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
    const wasWrong = this.isWrong();
    this.#verdict = verdict;
    this.#time.judged(verdict);
    this.#isSet = false;
    this.#doubtedMs = null;
    if (wasWrong && !verdict.isOwnWrong) this.#options.onSet?.();
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

  #saySet(): void {
    const aheadMs = this.#time.aheadMs();
    this.#options.log.warn(
      { event: 'clock-set', aheadMs: Math.round(aheadMs) },
      `The clock of this machine was set to a time ${differenceText(aheadMs)} the one before: controllers are asked whether it is right, and mail waits until one has answered`,
    );
    void this.#report();
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
    const aheadMs = this.#time.aheadMs();
    // While nobody has said whether a clock that was set is right, mail waits for it, and `status` says so.
    const waits = { ...this.#verdict, isOwnWrong: true, aheadMs };
    const isDoubted = aheadMs !== 0 && !this.#verdict.isOwnWrong;
    await this.#options.write(isDoubted ? waits : this.#verdict).catch((thrown: unknown) => {
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
