/**
 * Closing a cycle (D4.2 §5.2, "Waiting until minimum inbox size is reached"): each owner reads the INBOX and
 * says what it has read; the closing names all of that, or it is not signed. Where the owners have
 * agreed on a longest wait, they fill up with dummies after it; a cycle below its minimum never closes.
 */
import { endpointUpdate } from '../../api/endpoint.ts';
import { readBox } from '../../client/batch-read.ts';
import { ControllerClient, type InboxMessage } from '../../client/controller.ts';
import { chooseClosing, reviewClosing } from '../../mixnet/batch-cycle.ts';
import { dummiesToAdd, makeDummy } from '../../mixnet/batch-dummy.ts';
import { chainHops } from '../../mixnet/batch-link.ts';
import type { Step, Words } from './agree-step.ts';
import type { BatchView } from './batch-view.ts';
import { ownDummies, seriesOf, type Cycle } from './cycle.ts';

/** The INBOX of the present cycle, read to where it is now. */
export class Inbox {
  readonly #view: BatchView;
  readonly #cycle: Cycle;
  #messages: readonly InboxMessage[] = [];
  readonly #now: () => number;
  #sinceMs: number | null = null;
  #isPartial = false;

  constructor(view: BatchView, cycle: Cycle, now: () => number) {
    this.#view = view;
    this.#cycle = cycle;
    this.#now = now;
  }

  get messages(): readonly InboxMessage[] {
    return this.#messages;
  }

  get isEnough(): boolean {
    return this.#messages.length >= this.#cycle.terms.size_min;
  }

  /** Reads what has come, and adds dummies where the cycle has waited long enough. */
  async look(): Promise<void> {
    await this.#read();
    const { waitMs, terms } = this.#cycle;
    if (this.#messages.length === 0 || waitMs === null || this.isEnough) return;
    this.#sinceMs ??= this.#now();
    if (this.#now() < this.#sinceMs + waitMs) return;
    const owners = this.#cycle.links.length;
    await this.#addDummies(dummiesToAdd(this.#messages.length, terms.size_min, owners));
    await this.#read();
  }

  /** Somebody names a message that we were not shown: the next look begins at the first again. */
  readAgain(): void {
    this.#isPartial = true;
  }

  async #read(): Promise<void> {
    const { client, primitives } = this.#view;
    const known = new Set(this.#messages.map((message) => message.messageHash));
    const after = this.#isPartial ? 0 : (this.#messages.at(-1)?.id ?? 0);
    const query = { endpointId: this.#cycle.gatewayId, box: 'INBOX', after } as const;
    const read = await readBox(client, primitives, query);
    const fresh = read.filter((message) => !known.has(message.messageHash));
    // What was read once counts, whatever is shown later.
    this.#messages = [...this.#messages, ...fresh].toSorted((left, right) => left.id - right.id);
    this.#isPartial = false;
  }

  /** The next of our dummies that are not there yet. A killed owner posts the same again. */
  async #addDummies(count: number): Promise<void> {
    const { client, primitives, log } = this.#view;
    const { sphinx, links, mixnetId, gatewayId, state, terms } = this.#cycle;
    const series = seriesOf(this.#view, this.#cycle, state.opened[0] ?? '');
    const path = { sphinx, hops: chainHops(primitives, links), recipient: mixnetId };
    const present = new Set(this.#messages.map((message) => message.sender));
    let added = 0;
    for (let number = 0; number < terms.size_min && added < count; number++) {
      const dummy = makeDummy(series, number, path);
      if (present.has(dummy.sender.peerId)) continue;
      const { sender: identity, text, serial } = dummy;
      const stranger = new ControllerClient({ url: client.url, identity, primitives });
      await stranger.postMessage({ endpointId: gatewayId, recipient: mixnetId, text, serial });
      added++;
    }
    log.info({ event: 'dummies-added', endpointId: gatewayId, added }, 'Filled up with dummies');
  }
}

/** The step that stops a cycle's INBOX for good, once enough is in it. */
export function fullStep(inbox: Inbox, cycle: Cycle, info: object): Step {
  const data = { endpoint_id: cycle.gatewayId, status: 'FULL' };
  return {
    ...fixedStep('full', info, data),
    look: () => inbox.look(),
    word: () => (inbox.isEnough ? data : null),
  };
}

/** The step that closes a cycle over the messages that its owners have read. */
export function closeStep(view: BatchView, inbox: Inbox, cycle: Cycle, info: object): Step {
  const sizes = { sizeMin: cycle.terms.size_min, sizeMax: cycle.terms.size_max };
  const closing = (): object | null => {
    const hashes = chooseClosing(inbox.messages, sizes);
    return hashes && dataOf(cycle, hashes);
  };
  const missed = new Set<string>();
  return {
    name: 'close',
    info,
    look: () => inbox.look(),
    word: closing,
    compose: (words) => {
      const composed = chooseClosing(inbox.messages, sizes);
      if (!composed) return null;
      const unseen = ownersWhoSawMore(words, composed);
      for (const owner of unseen) {
        // Once may be the next message that we have not read yet; twice is another list.
        if (missed.has(owner)) {
          view.log.error(
            { event: 'cycle-refused', reason: 'message-unseen', owner: owner.slice(0, 8) },
            'An owner was shown messages that we are not shown: the cycle does not go on',
          );
        }
        missed.add(owner);
      }
      if (unseen.length > 0) inbox.readAgain();
      return unseen.length === 0 ? dataOf(cycle, composed) : null;
    },
    review: (data, _words, own) => {
      const change = endpointUpdate.safeParse(data);
      const seen = endpointUpdate.safeParse(own);
      if (!change.success || !seen.success || !isClosing(change.data, cycle)) return 'step-differs';
      const named = change.data.message_hashes ?? [];
      const saidRead = seen.data.message_hashes ?? [];
      const reason = reviewClosing(named, inbox.messages, saidRead, sizes);
      if (reason === 'message-unseen') inbox.readAgain();
      return reason;
    },
  };
}

/** A step whose request everybody knows beforehand. */
export function fixedStep(name: string, info: object, data: object): Step {
  const wanted = JSON.stringify(data);
  return {
    name,
    info,
    look: () => Promise.resolve(),
    word: () => data,
    compose: () => data,
    review: (said) => (JSON.stringify(said) === wanted ? null : 'step-differs'),
  };
}

function dataOf(cycle: Cycle, hashes: readonly string[]): object {
  return { endpoint_id: cycle.gatewayId, status: 'CLOSED', message_hashes: hashes };
}

function isClosing(
  change: {
    endpoint_id: string;
    status: string;
    process_proof?: unknown;
    last_message_id?: unknown;
  },
  cycle: Cycle,
): boolean {
  return (
    change.endpoint_id === cycle.gatewayId &&
    change.status === 'CLOSED' &&
    change.process_proof === undefined &&
    change.last_message_id === undefined
  );
}

function ownersWhoSawMore(words: Words, composed: readonly string[]): string[] {
  const named = new Set(composed);
  return [...words].flatMap(([owner, data]) => {
    const said = endpointUpdate.safeParse(data);
    const hashes = said.success ? (said.data.message_hashes ?? []) : [];
    return hashes.every((hash) => named.has(hash)) ? [] : [owner];
  });
}

/** Of what a cycle has accepted, the dummies that are ours. */
export function closedDummies(
  view: BatchView,
  cycle: Cycle,
  accepted: readonly InboxMessage[],
): string[] {
  const marks = ownDummies(view, cycle);
  return accepted.flatMap(({ sender }) => marks.get(sender)?.nonce ?? []);
}
