/**
 * One attempt of the nodes to agree on a snapshot, as one of them: says its entry, composes where it is its
 * turn, signs what holds, and gives up what leads nowhere. On the way it hears of two-faced nodes, and of
 * changes that other owners propose.
 */
import { agree, type Party, type UNDECIDED } from '../client/agree.ts';
import type { Meeting, Statement } from '../client/meeting.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { SignedEntry } from '../mixnet/directory-texts.ts';
import { negotiationId } from '../api/fields.ts';
import type { DirectoryReport } from './directory-report.ts';
import type { Look } from './ground.ts';
import type { MixnetStateFile, PendingChange } from './mixnet-state.ts';
import type { Pace } from './pace.ts';
import type { Place } from './places.ts';
import { ownEntry, type OwnPosition } from './position.ts';
import { Sightings } from './sightings.ts';
import {
  composeSnapshot,
  isQuorum,
  offerEntry,
  offersIn,
  presentOwners,
  reviewSnapshot,
  type Offers,
  type SnapshotGround,
} from './snapshot.ts';

/** Changes of other owners that are remembered: one of each. */
const CHANGES_MAX = 64;

export interface AttemptOptions {
  readonly party: Party;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly state: MixnetStateFile;
  readonly log: Log;
  readonly report: DirectoryReport | null;
  readonly position: () => OwnPosition;
  /** The negotiation of the change that our operator proposes, or null. */
  readonly change: string | null;
  /** Opened by us, to be proposed as the one that follows. */
  readonly proposed: string;
  readonly pace: Pace;
  readonly look: Look;
  readonly place: Place;
  /** Whether nothing can be agreed on there any more. */
  readonly hasRunOut: (meeting: Meeting) => boolean;
  /** Whether the others agree elsewhere, or on another ground; asked now and then. */
  readonly isElsewhere: () => Promise<boolean>;
}

export class Attempt {
  readonly #options: AttemptOptions;
  readonly #ground: SnapshotGround;
  readonly #own: SignedEntry;
  readonly #sightings: Sightings;
  /** Since when so many owners are present that a snapshot could be agreed on. */
  #quorumSinceMs: number | null = null;
  #lookedMs: number;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#ground = { ...options.look.ground, number: options.place.number };
    this.#own = this.#entry();
    this.#sightings = new Sightings(this.#ground, options.pace.patienceMs);
    this.#lookedMs = options.party.now();
  }

  /** Until it is agreed. Throws `agreement-abandoned` where that comes to nothing here. */
  async run(): Promise<void> {
    const { party, state, place, change, proposed, pace } = this.#options;
    const { negotiation_id: id } = place;
    await agree(party, {
      negotiationId: id,
      textLifetimeMs: pace.textMs,
      opening: () => offerEntry(this.#ground, this.#own, proposed, change),
      compose: (meeting) => this.#compose(meeting),
      review: (said, meeting) => this.#review(said, meeting),
      signed: state.read()?.signed[id] ?? null,
      remember: (text) => this.#remember(text),
      progress: async (meeting) => await this.#progress(meeting),
      onRefusal: 'wait',
    });
  }

  #review(said: Statement, meeting: Meeting): string | typeof UNDECIDED | null {
    const { party, primitives } = this.#options;
    const first = meeting.statements.findIndex(({ text }) => text === said.text);
    const before = meeting.statements.slice(0, first);
    const nowMs = party.now();
    return (
      reviewSnapshot(primitives, said.body, before, this.#ground, this.#own, nowMs) ??
      this.#sightings.review(said, offersIn(primitives, meeting.statements, this.#ground), nowMs)
    );
  }

  /** The entry that we have signed for this number, whatever has changed since; else a new one. */
  #entry(): SignedEntry {
    const { state, primitives, identity, position } = this.#options;
    const { number } = this.#ground;
    const offered = state.read()?.offered;
    if (offered?.number === number && offered.entry.mixnet === this.#ground.mixnetId) {
      return offered.entry;
    }
    const entry = ownEntry(primitives, identity, this.#ground, position());
    state.update({ offered: { number, entry } });
    return entry;
  }

  #remember(text: string): void {
    const { state, place } = this.#options;
    const before = state.read();
    state.update({
      signed: { ...before?.signed, [place.negotiation_id]: text },
      signed_number: Math.max(before?.signed_number ?? 0, place.number),
    });
  }

  /**
   * The first of those present composes as soon as all nodes are there; after some patience without
   * the others; and the next one after as much again, so that nobody's absence stops it.
   */
  #compose(meeting: Meeting): ReturnType<typeof composeSnapshot> | null {
    const { party, primitives, pace, proposed } = this.#options;
    const nowMs = party.now();
    const { entries } = offersIn(primitives, meeting.statements, this.#ground);
    const owners = presentOwners(entries, this.#ground);
    const rank = owners.indexOf(party.peerId);
    if (rank === -1 || !isQuorum(owners, this.#ground)) {
      this.#quorumSinceMs = null;
      return null;
    }
    this.#quorumSinceMs ??= nowMs;
    const isComplete = entries.length === this.#ground.head.nodes.length;
    const turnMs = this.#quorumSinceMs + pace.patienceMs * (isComplete ? rank : rank + 1);
    return nowMs < turnMs ? null : composeSnapshot(entries, this.#ground, proposed, nowMs);
  }

  async #progress(meeting: Meeting): Promise<void> {
    const offers = offersIn(this.#options.primitives, meeting.statements, this.#ground);
    this.#sightings.look(meeting, offers, this.#options.party.now());
    this.#hearFaces(offers);
    this.#hearChanges(meeting);
    this.#noteAnnounced(meeting);
    if (meeting.consensus !== null) return;
    const { party, pace, place, hasRunOut, isElsewhere } = this.#options;
    if (hasRunOut(meeting)) throw abandoned(`texts of number ${place.number} have expired`);
    if (Math.abs(party.now() - this.#lookedMs) < pace.watchMs) return;
    this.#lookedMs = party.now();
    if (await isElsewhere()) throw abandoned('the others agree elsewhere, or on something else');
  }

  /** Names nodes that have signed two entries for this number. */
  #hearFaces({ twoFaced }: Offers): void {
    const { report, log, party } = this.#options;
    const { number } = this.#ground;
    for (const peer of twoFaced) {
      if (report && !report.noteTwoFaced(peer, number, party.now())) continue;
      log.error(
        { event: 'entry-equivocated', peer, number },
        'A node has signed two different entries for one snapshot, which leaves it out',
      );
    }
  }

  /** Our change is told once somebody has spoken after us where we named it. */
  #noteAnnounced({ statements }: Meeting): void {
    const { change, state, party } = this.#options;
    if (change === null || state.read()?.announced_change === change) return;
    const told = statements.findIndex(
      ({ signer, body }) =>
        signer === party.peerId && body.meta['change_negotiation_id'] === change,
    );
    const after = told === -1 ? [] : statements.slice(told);
    if (after.some(({ signer }) => signer !== party.peerId)) {
      state.update({ announced_change: change });
    }
  }

  /** Notes which changes other owners' nodes tell of, for our operator. */
  #hearChanges(meeting: Meeting): void {
    const { state, party, log } = this.#options;
    const { owners } = this.#ground.terms;
    const { logHead } = this.#ground;
    const before = state.read()?.pending_changes ?? [];
    // On another head a change is void, or is proposed anew.
    const changes = new Map(
      before.filter((one) => one.log_head === logHead).map((one) => [one.proposer, one]),
    );
    for (const [signer, id] of changesNamed(meeting)) {
      if (signer === party.peerId || !owners.includes(signer)) continue;
      if (changes.get(signer)?.negotiation_id === id) continue;
      if (changes.size >= CHANGES_MAX && !changes.has(signer)) continue;
      changes.set(signer, { negotiation_id: id, proposer: signer, log_head: logHead });
      log.warn(
        { event: 'change-proposed', proposer: signer, negotiation: id },
        'An owner proposes a change of the mixnet: review it with "panoramix wizard"',
      );
    }
    const after: PendingChange[] = [...changes.values()];
    if (JSON.stringify(after) !== JSON.stringify(before)) state.update({ pending_changes: after });
  }
}

/** By signer the change that he has named last: of more than one each look would find the others anew. */
function changesNamed({ statements }: Meeting): ReadonlyMap<string, string> {
  return new Map(
    statements.flatMap(({ signer, body }) => {
      const id = negotiationId.safeParse(body.meta['change_negotiation_id']);
      return id.success ? [[signer, id.data] as const] : [];
    }),
  );
}

function abandoned(why: string): PanoramixError {
  return new PanoramixError('agreement-abandoned', why);
}
