/**
 * Between opening packets and releasing them: what comes back is settled, what ends here is answered, and
 * tag and outcome of each packet are committed in one write. A packet whose tag is committed has
 * had its one outcome, whatever that was; a drop for what was in a packet counts as one.
 */
import type { MixDropReason, MixOutcome, MixView } from '../mixnet/mix.ts';
import type { CommitEntry, CommitResult, Journal, Onward, Outcome } from '../redis/journal.ts';
import type { Acks } from './acks.ts';
import type { Counters } from './counters.ts';
import type { Returns } from './returns.ts';

/**
 * Packets of others that may wait here. At 100 packets a second, each held for 2 s, 200 wait, and 2000 while
 * an alarm holds each for 20 s more; 8192 of 33 kB are 270 MB, a quarter of the memory by default, beside
 * the fragments' two fifths. What comes beyond them is dropped, and its sender sends it again.
 */
const WAITING_MAX = 8_192;

/** A packet that was opened, and what is to become of it. */
export interface OpenedPacket {
  /** Replay tag, 16 bytes. */
  readonly tag: Uint8Array;
  readonly outcome: MixOutcome;
}

export interface CommitterOptions {
  readonly endpointId: string;
  readonly journal: Pick<Journal, 'commit'>;
  readonly acks: Acks;
  readonly returns: Returns;
  readonly counters: Counters;
  /** Packets of this endpoint that are committed and have not left yet. */
  readonly waiting: () => Promise<number>;
  /** Whether nothing may be added to the store: then all that comes is shed, and replies still settle. */
  readonly isFull: () => boolean;
  readonly onJournalFull: () => void;
}

/** An entry, and by which name it is counted once it is committed. */
interface Planned {
  readonly entry: CommitEntry;
  readonly name: string;
}

export class Committer {
  readonly #options: CommitterOptions;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /**
   * Commits what was opened.
   * @returns what was committed by this call: it is to have its jobs
   * @throws PanoramixError `redis-unavailable`, `storage-pressure`: commit the same again
   */
  async commit(view: MixView, opened: readonly OpenedPacket[]): Promise<readonly CommitEntry[]> {
    const { journal } = this.#options;
    const planned = await this.#plan(view, opened);
    const results = await journal.commit(planned.map(({ entry }) => entry));
    const fresh = planned.filter(({ name }, i) => this.#count(name, results[i] as CommitResult));
    const refused = planned.filter((_, i) => isRefusal(results[i] as CommitResult));
    const answered = await this.#refuse(view, refused, opened);
    return [...fresh.map(({ entry }) => entry), ...answered];
  }

  async #plan(view: MixView, opened: readonly OpenedPacket[]): Promise<readonly Planned[]> {
    const names = await this.#takeReplies(view, opened);
    const isShed = opened.some(addsPacket) && (await this.#isOverloaded());
    const acks = new Map(isShed ? [] : await this.#answers(view, opened));
    return opened.map((packet) => {
      const shed = isShed && addsPacket(packet);
      const outcome = shed ? NONE : outcomeOf(packet.outcome, acks.get(packet) ?? null);
      const name = shed ? 'overloaded' : (names.get(packet) ?? nameOf(packet.outcome));
      return { entry: this.#entry(packet.tag, outcome), name };
    });
  }

  async #takeReplies(
    view: MixView,
    opened: readonly OpenedPacket[],
  ): Promise<ReadonlyMap<OpenedPacket, string>> {
    const replies = opened.flatMap((packet) =>
      packet.outcome.kind === 'reply' ? [{ packet, reply: packet.outcome }] : [],
    );
    const bodies = replies.map(({ reply }) => reply);
    const names = await this.#options.returns.take(view, bodies);
    return new Map(replies.map(({ packet }, i) => [packet, names[i] as string]));
  }

  async #isOverloaded(): Promise<boolean> {
    const { isFull, waiting } = this.#options;
    return isFull() || (await waiting()) >= WAITING_MAX;
  }

  /** What is to be said to each packet that ends here, before the store has seen it. */
  async #answers(
    view: MixView,
    opened: readonly OpenedPacket[],
  ): Promise<readonly (readonly [OpenedPacket, Onward | null])[]> {
    const untimely = opened.filter(({ outcome }) => outcome.kind === 'untimely');
    const others = opened.filter(({ outcome }) => outcome.kind !== 'untimely');
    const kept = await this.#ack(view, others, 'kept');
    return [...kept, ...(await this.#ack(view, untimely, 'refused'))];
  }

  async #ack(
    view: MixView,
    opened: readonly OpenedPacket[],
    verdict: 'kept' | 'refused',
  ): Promise<ReadonlyMap<OpenedPacket, Onward | null>> {
    const asked = opened.flatMap((packet) => {
      const { outcome } = packet;
      return 'replyBlock' in outcome ? [{ packet, replyBlock: outcome.replyBlock }] : [];
    });
    const blocks = asked.map(({ replyBlock }) => replyBlock);
    const acks = await this.#options.acks.build(view, blocks, verdict);
    return new Map(asked.map(({ packet }, i) => [packet, acks[i] ?? null]));
  }

  /** What could not be kept is answered all the same: no link's rate depends on what was inside. */
  async #refuse(
    view: MixView,
    refused: readonly Planned[],
    opened: readonly OpenedPacket[],
  ): Promise<readonly CommitEntry[]> {
    if (refused.length === 0) return [];
    const tags = new Set(refused.map(({ entry }) => entry.tag));
    const packets = opened.filter(({ tag }) => tags.has(tag));
    const acks = await this.#ack(view, packets, 'refused');
    const entries = packets.map((packet) => {
      const ack = acks.get(packet) ?? null;
      return this.#entry(packet.tag, ack === null ? NONE : { kind: 'forward', ...ack });
    });
    const results = await this.#options.journal.commit(entries);
    return entries.filter((_, i) => results[i] === 'committed');
  }

  #entry(tag: Uint8Array, outcome: Outcome): CommitEntry {
    return { endpointId: this.#options.endpointId, tag, outcome };
  }

  /** Counts what became of an entry; whether it is to be worked on. */
  #count(name: string, result: CommitResult): boolean {
    const { counters, onJournalFull } = this.#options;
    counters.count(result === 'committed' ? name : (result satisfies MixDropReason));
    if (result === 'journal-full') onJournalFull();
    return result === 'committed';
  }
}

const NONE: Outcome = { kind: 'none' };

/** Whether a packet, once committed, waits here for its time: all kinds are shed alike. */
function addsPacket({ outcome }: OpenedPacket): boolean {
  return outcome.kind === 'forward' || 'replyBlock' in outcome;
}

function isRefusal(result: CommitResult): boolean {
  return result !== 'committed' && result !== 'replayed' && result !== 'journal-full';
}

function nameOf(outcome: MixOutcome): string {
  return 'reason' in outcome ? outcome.reason : outcome.kind;
}

function outcomeOf(outcome: MixOutcome, ack: Onward | null): Outcome {
  if (outcome.kind === 'forward') return outcome;
  if (outcome.kind === 'fragment') return { kind: 'fragment', fragment: outcome.fragment, ack };
  return 'replyBlock' in outcome && ack !== null ? { kind: 'forward', ...ack } : NONE;
}
