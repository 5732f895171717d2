/**
 * Where fragments wait for a tick, for each exit two queues: those that were never sent, each at its place
 * (fair-places.ts), and those that have been, each held until it may be sent again. A job leads to
 * the fragment's record; one whose record is gone does nothing.
 */
import type { Store } from '../redis/embedded.ts';
import { openQueue, type JobQueue } from '../redis/queues.ts';
import { openTaker, type JobTaker } from '../redis/taker.ts';

/** Whether fragments of a queue were sent before. */
export type SendKind = 'first' | 'resend';

export class FragmentQueues {
  readonly #store: Store;
  readonly #queues = new Map<string, Promise<JobQueue>>();
  readonly #takers = new Map<string, Promise<JobTaker>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws PanoramixError `redis-unavailable` */
  async queue(exit: string, kind: SendKind): Promise<JobQueue> {
    return await opened(this.#queues, nameOf(exit, kind), async (name) => {
      return await openQueue(this.#store, name);
    });
  }

  /** @throws PanoramixError `redis-unavailable` */
  async taker(exit: string, kind: SendKind): Promise<JobTaker> {
    return await opened(this.#takers, nameOf(exit, kind), async (name) => {
      return await openTaker(this.#store, name);
    });
  }

  async close(): Promise<void> {
    for (const taker of this.#takers.values()) await (await taker).close();
    for (const queue of this.#queues.values()) await (await queue).close();
  }
}

function nameOf(exit: string, kind: SendKind): `outbound-${string}` {
  return kind === 'first' ? `outbound-${exit}` : `outbound-${exit}-again`;
}

async function opened<Opened>(
  all: Map<string, Promise<Opened>>,
  name: `outbound-${string}`,
  open: (name: `outbound-${string}`) => Promise<Opened>,
): Promise<Opened> {
  const known = all.get(name);
  if (known !== undefined) return await known;
  const opening = open(name);
  all.set(name, opening);
  // A failure must not stick: the next who asks opens it again.
  opening.catch(() => all.delete(name));
  return await opening;
}
