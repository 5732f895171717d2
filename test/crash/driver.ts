/**
 * Goes through the table of steps: has each held where it shows, kills one of the two ends, and lets the proxy drop
 * what it held, until each step has its number of hits by both ends and at both moments; in between it kills at random,
 * and during a start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Hits, type Cell } from './hits.ts';
import type { Load } from './load.ts';
import type { Kill } from './ledger.ts';
import type { MailKind } from './mails.ts';
import type { Hit, Occasion, Step, Watch } from './step.ts';
import { strike, type Blow } from './strike.ts';
import type { Strike } from './table.ts';
import type { Victim } from './victims.ts';

export const AT_RANDOM = 'at random';
export const DURING_START = 'during its start';

/** How long who is killed stays away, and how long nothing dies after a recovery. */
export interface Pace {
  readonly downMsMin: number;
  readonly downMsMax: number;
  readonly downMsLong: number;
  readonly restMs: number;
}

export interface DriverOptions {
  readonly victims: ReadonlyMap<string, Victim>;
  readonly watch: Watch;
  readonly load: Pick<Load, 'want'>;
  readonly steps: readonly Step[];
  /** Of each step, and of kills at random and during a start. */
  readonly hitsEach: number;
  /** On how many hosts something may be dead or not well yet; on one more where a step shows that comes seldom. */
  readonly deathsAtOnce: number;
  /** What is not hit by then is a failure. */
  readonly endMs: number;
  /** How long a step is waited for that needs no agreement of nodes, before another one has its turn. */
  readonly waitMsMax: number;
  readonly pace: Pace;
  /** Below 1, as Math.random. */
  readonly random: () => number;
  readonly onKill: (kill: Kill) => void;
  readonly onStrike: (strike: Strike) => void;
  readonly say: (text: string) => void;
}

/** The mail that a step needs; any else. */
const KIND_OF: Readonly<Partial<Record<Occasion, MailKind>>> = {
  'large mail': 'large',
  'failing mail': 'failing',
  'bouncing mail': 'bouncing',
  'passing mail': 'passing',
};

/** Between two mails of the wanted kind, while a step that needs one is waited for. */
const WANT_MS = 5_000;
/** One in so many is away for long. */
const LONG_EVERY = 10;
/** A start takes a second or two: the second kill falls into it, or just after. */
const START_MS_MAX = 2_500;

/** One run through the table. */
export class Driver {
  readonly #options: DriverOptions;
  readonly #hits = new Hits();
  /** Hosts, such as `beta`, of which something has died and is not well yet: nothing else dies there meanwhile. */
  readonly #struck = new Set<string>();
  /** Steps that have their turn. */
  readonly #turns = new Set<string>();

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** Settles when all have their hits, or at the end of its time. */
  async run(signal: AbortSignal): Promise<void> {
    const end = AbortSignal.any([signal, AbortSignal.timeout(this.#leftMs)]);
    const { steps } = this.#options;
    const rare = steps.filter(isRare).map(async (step) => await this.#waitFor(step, end));
    const common = steps.filter((step) => !isRare(step));
    await this.#side(async () => await this.#common(common, end));
    await this.#meanwhile(Promise.all(rare), end);
  }

  /** How often a step was hit so far. */
  hitsOf(step: string): number {
    return this.#hits.of(step);
  }

  /** As many at once as deaths may be. */
  async #side(work: () => Promise<void>): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.deathsAtOnce }, work));
  }

  get #leftMs(): number {
    return Math.max(0, this.#options.endMs - Date.now());
  }

  /** Whichever has the fewest hits has the next turn; kills at random and during a start take theirs, too. */
  async #common(steps: readonly Step[], end: AbortSignal): Promise<void> {
    const byName = new Map(steps.map((step) => [step.name, step]));
    const turns = [...byName.keys(), AT_RANDOM, DURING_START];
    const missed = new Map<string, number>();
    const weight = (name: string): number => this.hitsOf(name) + (missed.get(name) ?? 0);
    while (!end.aborted) {
      const open = turns.filter(
        (name) => !this.#turns.has(name) && this.hitsOf(name) < this.#options.hitsEach,
      );
      if (open.length === 0) return;
      const name = open.toSorted((a, b) => weight(a) - weight(b))[0] as string;
      const before = this.hitsOf(name);
      const step = byName.get(name);
      this.#turns.add(name);
      if (step !== undefined) await this.#hit(step, end);
      else await this.#unnamed(name);
      this.#turns.delete(name);
      if (this.hitsOf(name) === before) missed.set(name, (missed.get(name) ?? 0) + 1);
      await sleep(this.#options.pace.restMs);
    }
  }

  /** Kills at random, for as long as something rare is waited for. */
  async #meanwhile(waiting: Promise<unknown>, end: AbortSignal): Promise<void> {
    let isDone = false;
    const done = waiting.finally(() => (isDone = true));
    const isOver = (): boolean => isDone || end.aborted;
    while (!isOver()) {
      await Promise.race([done, sleep(10_000 * this.#options.random())]);
      if (!isOver()) await this.#unnamed(AT_RANDOM);
    }
    await done;
  }

  /** A step that comes by itself, and seldom: it is hit whenever it does and nothing else is struck. */
  async #waitFor(step: Step, end: AbortSignal): Promise<void> {
    while (!end.aborted && this.hitsOf(step.name) < this.#options.hitsEach) {
      const cell = this.#hits.nextCell(step, this.#options.random);
      const hit = await this.#options.watch.arm({ step, moment: cell.moment }, end);
      const atOnce = this.#options.deathsAtOnce + 1;
      if (hit !== null && !(await this.#take(hit, cell, atOnce))) {
        await sleep(this.#options.pace.restMs);
      }
    }
  }

  async #hit(step: Step, end: AbortSignal): Promise<void> {
    if (step.occasion === 'start') return await this.#hitAtStart(step, end);
    const { watch, load } = this.#options;
    const cell = this.#hits.nextCell(step, this.#options.random);
    const late = AbortSignal.timeout(Math.min(this.#options.waitMsMax, this.#leftMs));
    const armed = watch.arm({ step, moment: cell.moment }, AbortSignal.any([end, late]));
    const wanted = KIND_OF[step.occasion];
    const want = (): void => {
      if (wanted !== undefined) load.want(wanted);
    };
    const wanting = setInterval(want, WANT_MS);
    want();
    const hit = await armed;
    clearInterval(wanting);
    if (hit === null) this.#options.say(`not seen in time: ${step.name}, ${cell.moment}`);
    else await this.#take(hit, cell);
  }

  /** A program is killed so that it starts, and again at the step of its start. */
  async #hitAtStart(step: Step, end: AbortSignal): Promise<void> {
    const cell = this.#hits.nextCell(step, this.#options.random);
    const program = this.#draw(({ kind }) => {
      return kind === step.role || (step.role === 'node' && (kind === 'mix' || kind === 'gateway'));
    });
    await this.#alone(program, async () => {
      const late = AbortSignal.timeout(Math.min(this.#options.waitMsMax, this.#leftMs));
      const signal = AbortSignal.any([end, late]);
      const target = { step, moment: cell.moment, program: program.name };
      const armed = this.#options.watch.arm(target, signal);
      await this.#killOnly(program, this.#options.pace.downMsMin);
      const hit = await armed;
      if (hit === null) this.#options.say(`not seen in time: ${step.name} of ${program.name}`);
      else await this.#strikeHit(hit, cell);
    });
  }

  /** False where another death there is being looked at: then it passes. */
  async #take(hit: Hit, cell: Cell, atOnce?: number): Promise<boolean> {
    const victim = this.#victimOf(hit, cell);
    const isDone = await this.#alone(victim, async () => await this.#strikeHit(hit, cell), atOnce);
    if (!isDone) hit.pass();
    return isDone;
  }

  #victimOf(hit: Hit, cell: Cell): Victim {
    const name = cell.end === 'program' ? hit.program : hit.other;
    const victim = this.#options.victims.get(name);
    if (victim === undefined) throw new Error(`${hit.step.name} is held, but ${name} is no victim`);
    return victim;
  }

  /** Does what kills on the host of a victim, unless something is done there already, or enough elsewhere. */
  async #alone(
    victim: Victim,
    work: () => Promise<void>,
    atOnce = this.#options.deathsAtOnce,
  ): Promise<boolean> {
    const host = hostOf(victim);
    if (this.#struck.has(host) || this.#struck.size >= atOnce) return false;
    this.#struck.add(host);
    try {
      await work();
      return true;
    } finally {
      this.#struck.delete(host);
    }
  }

  async #strikeHit(hit: Hit, cell: Cell): Promise<void> {
    const victim = this.#victimOf(hit, cell);
    const { name: step } = hit.step;
    const { moment } = hit;
    this.#hits.countCell(hit.step, cell);
    await this.#strike({
      step,
      moment,
      victim,
      downMs: this.#downMs(),
      afterDeath: () => hit.drop(),
    });
  }

  async #unnamed(name: string): Promise<void> {
    await sleep(this.#options.pace.restMs * this.#options.random());
    const victim = this.#draw(() => true);
    await this.#alone(victim, async () => {
      if (name === DURING_START) {
        await this.#killOnly(victim, this.#options.pace.downMsMin);
        for (const starts = victim.starts; victim.starts === starts;) await sleep(20);
        await sleep(START_MS_MAX * this.#options.random());
      }
      await this.#strike({ step: name, moment: null, victim, downMs: this.#downMs() });
    });
  }

  async #strike(blow: Blow): Promise<void> {
    const { victims, onKill, onStrike, say } = this.#options;
    const own = hostOf(blow.victim);
    const done = await strike(blow, {
      victims: victims.values(),
      isStruckToo: (victim) => hostOf(victim) !== own && this.#struck.has(hostOf(victim)),
      onKill,
      say,
    });
    this.#hits.count(blow.step);
    onStrike(done);
  }

  /** A death that only leads to the one that is looked at. */
  async #killOnly(victim: Victim, downMs: number): Promise<void> {
    await victim.kill(downMs);
    this.#options.onKill({ atMs: Date.now(), victim: victim.name });
  }

  #draw(is: (victim: Victim) => boolean): Victim {
    const all = [...this.#options.victims.values()].filter(is);
    return all[Math.floor(this.#options.random() * all.length)] as Victim;
  }

  #downMs(): number {
    const { random, pace } = this.#options;
    if (random() < 1 / LONG_EVERY) return pace.downMsLong;
    return pace.downMsMin + random() * (pace.downMsMax - pace.downMsMin);
  }
}

function hostOf({ name }: Victim): string {
  return name.split('.')[0] as string;
}

function isRare({ occasion }: Step): boolean {
  return occasion === 'snapshot' || occasion === 'keys';
}
