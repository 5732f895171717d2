/**
 * What a node has seen of one attempt, and when: so that nobody composes a snapshot in a hurry and leaves out
 * nodes whose word was on its way, or was there. Pure.
 */
import type { ContributionBody } from '../api/contribution.ts';
import { UNDECIDED } from '../client/agree.ts';
import type { Meeting } from '../client/meeting.ts';
import { isQuorum, presentOwners, type Offers, type SnapshotGround } from './snapshot.ts';

/** Share of the patience for which a text that leaves out somebody is not signed: honest ones come later. */
const EARLY_SHARE = 1 / 2;
/** Share of the patience by which an offer may be older than a text whose composer had not seen it. */
const UNSEEN_SHARE = 1 / 8;

/** See the head of this file. */
export class Sightings {
  readonly #ground: SnapshotGround;
  readonly #patienceMs: number;
  /** When so many owners were present for the first time that they could agree; Infinity before. */
  #quorumMs = Infinity;
  /** When each node's offer was seen first. */
  readonly #offeredMs = new Map<string, number>();
  /** When each text was seen first. */
  readonly #composedMs = new Map<string, number>();

  /** @param patienceMs after which honest nodes compose without who is not there */
  constructor(ground: SnapshotGround, patienceMs: number) {
    this.#ground = ground;
    this.#patienceMs = patienceMs;
  }

  /** Notes what one look at the negotiation shows. */
  look(meeting: Meeting, { entries }: Offers, nowMs: number): void {
    const first = (of: Map<string, number>, key: string): void => {
      if (!of.has(key)) of.set(key, nowMs);
    };
    for (const { peer_id: peer } of entries) first(this.#offeredMs, peer);
    for (const { accepts, text } of meeting.statements) if (accepts) first(this.#composedMs, text);
    const hasQuorum = isQuorum(presentOwners(entries, this.#ground), this.#ground);
    if (hasQuorum) this.#quorumMs = Math.min(this.#quorumMs, nowMs);
  }

  /**
   * Whether a composed text leaves out nobody whom its composer could have seen. One that came early counts as
   * composed at the end of the wait; who says only afterwards where he is undoes no text.
   * @returns null where it may be signed
   */
  review(
    said: { readonly text: string; readonly body: ContributionBody },
    { twoFaced }: Offers,
    nowMs: number,
  ): 'entry-left-out' | typeof UNDECIDED | null {
    const named = namedIn(said.body);
    const absent = this.#ground.head.nodes
      .map(({ peer_id: peer }) => peer)
      .filter((peer) => !named.has(peer) && !twoFaced.includes(peer));
    if (absent.length === 0) return null;
    const decidedMs = this.#quorumMs + EARLY_SHARE * this.#patienceMs;
    if (nowMs < decidedMs) return UNDECIDED;
    const composedMs = this.#composedMs.get(said.text) ?? nowMs;
    const seenMs = Math.max(decidedMs, composedMs - UNSEEN_SHARE * this.#patienceMs);
    const isLeftOut = absent.some((peer) => (this.#offeredMs.get(peer) ?? Infinity) < seenMs);
    return isLeftOut ? 'entry-left-out' : null;
  }
}

/** Peer ids of whom a snapshot that has passed the review has entries. */
function namedIn({ data }: ContributionBody): ReadonlySet<string> {
  const { snapshot } = data as { snapshot: { entries: readonly { peer_id: string }[] } };
  return new Set(snapshot.entries.map((entry) => entry.peer_id));
}
