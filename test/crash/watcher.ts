/**
 * What all proxies of a run ask about each frame: which steps it is, and whether one of them is waited for.
 */
import { KnownNodes } from './http-dialogue.ts';
import type { Frame, Hit, Link, Moment, Step, Target, Watch } from './step.ts';
import { STEPS } from './steps.ts';

/** A frame that is a step, or several. */
export interface Passing {
  readonly link: Link;
  readonly steps: readonly Step[];
  readonly program: string;
  readonly other: string;
}

/** How a proxy lets go of what it holds. */
export type LettingGo = Pick<Hit, 'drop' | 'pass'>;

interface Armed {
  readonly target: Target;
  readonly resolve: (hit: Hit) => void;
}

/** What a program is, by its name. */
type Role = 'gateway' | 'mix' | 'controller' | 'other';

/** One for all proxies of a run. */
export class Watcher implements Watch {
  readonly #steps: readonly Step[];
  readonly #seen = new Map<string, number>();
  readonly #armed = new Set<Armed>();
  readonly #nodes = new KnownNodes();
  readonly #strange: string[] = [];

  constructor(steps: readonly Step[] = STEPS) {
    this.#steps = steps;
  }

  get seen(): ReadonlyMap<string, number> {
    return this.#seen;
  }

  /** What no proxy could read, by link; empty unless a reader of ours is wrong. */
  get strange(): readonly string[] {
    return this.#strange;
  }

  noteStrange({ name }: Link, thrown: unknown): void {
    this.#strange.push(`${name}: ${String(thrown)}`);
  }

  async arm(target: Target, signal: AbortSignal): Promise<Hit | null> {
    if (signal.aborted) return null;
    const { promise, resolve } = Promise.withResolvers<Hit | null>();
    const armed: Armed = { target, resolve };
    const giveUp = (): void => {
      if (this.#armed.delete(armed)) resolve(null);
    };
    this.#armed.add(armed);
    signal.addEventListener('abort', giveUp);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** Which steps a frame is, on its way to the server; null for none. Each is counted. */
  passing(link: Link, frame: Frame): Passing | null {
    if (frame.protocol === 'http') this.#nodes.learn(frame, link.server);
    const client =
      link.client ?? (frame.protocol === 'http' ? this.#nodes.nameOf(frame.signer) : null);
    const atEnd = { client, server: link.server };
    const steps = this.#steps.filter((step) => {
      const program = atEnd[step.end];
      return program !== null && isOn(link, step, program) && step.matches(frame);
    });
    const [first] = steps;
    // Who asks is not known before it has listed an INBOX.
    if (first === undefined || client === null) return null;
    for (const { name } of steps) this.#seen.set(name, (this.#seen.get(name) ?? 0) + 1);
    return first.end === 'client'
      ? { link, steps, program: client, other: link.server }
      : { link, steps, program: link.server, other: client };
  }

  /**
   * Whether what passes is waited for at this moment.
   * @param reply of the moment after
   * @returns who is to be told, once; null where it may pass
   */
  wanted(
    passing: Passing,
    moment: Moment,
    reply: Buffer | null,
  ): ((letting: LettingGo) => void) | null {
    for (const armed of this.#armed) {
      const { step, program } = armed.target;
      if (armed.target.moment !== moment || !passing.steps.includes(step)) continue;
      if (program !== undefined && program !== passing.program) continue;
      if (reply !== null && step.isAnsweredBy?.(reply) === false) continue;
      this.#armed.delete(armed);
      const { link, other } = passing;
      const about = { step, moment, link, program: passing.program, other, atMs: Date.now() };
      return (letting) => armed.resolve({ ...about, ...letting });
    }
    return null;
  }
}

function isOn(link: Link, step: Step, program: string): boolean {
  if (step.protocol !== link.protocol) return false;
  if (step.services !== undefined) {
    if (link.service === undefined || !step.services.includes(link.service)) return false;
  }
  const role = roleOf(program);
  return step.role === role || (step.role === 'node' && (role === 'gateway' || role === 'mix'));
}

/** `mix-1`, `alpha`, `alpha.controller`; `alpha.redis` and `alpha.postfix` are nobody who has steps. */
function roleOf(program: string): Role {
  if (program.endsWith('.controller')) return 'controller';
  if (program.includes('.')) return 'other';
  return /^mix-\d+$/.test(program) ? 'mix' : 'gateway';
}
