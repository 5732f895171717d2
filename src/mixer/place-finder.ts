/**
 * Finds where this node agrees with the others on the next snapshot, from wherever it was when it last
 * looked: goes from an ended negotiation to the one that follows, past those that cannot be used or came to no
 * end, and where none is left, to where owners say that they wait (design §8). Applies what was
 * agreed on the way. All of it is in the state file, so that a node may be stopped anywhere and for any time.
 */
import type { NegotiationData } from '../api/negotiation.ts';
import type { MeetingPlace } from '../api/meeting-place.ts';
import { retrying, type Party } from '../client/agree.ts';
import { readMeeting, type Meeting } from '../client/meeting.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Look } from './ground.ts';
import type { MixnetState, MixnetStateFile } from './mixnet-state.ts';
import {
  agreedSnapshot,
  amongOwners,
  appliesUntilMs,
  hasRunOut,
  highestNumber,
  isUsable,
  meetingsInOrder,
  placesAfter,
  type Place,
} from './places.ts';
import { isQuorum } from './snapshot.ts';

/** Meetings of one owner that we followed in vain, after which he is not followed for an hour. */
const FOLLOWED_MAX = 3;
const IGNORED_MS = 3_600_000;

/** What was found. */
export type Found =
  /** Here the next snapshot is agreed on. */
  | { readonly kind: 'at'; readonly place: Place; readonly meeting: Meeting }
  /** Something was applied, or is being applied: look again. */
  | { readonly kind: 'again' }
  /** Nobody of this peer owns the mixnet: there is nothing to agree on. */
  | { readonly kind: 'nowhere' };

export interface PlaceFinderOptions {
  readonly party: Party;
  readonly state: MixnetStateFile;
  readonly log: Log;
  /** How long texts may be signed. */
  readonly textMs: () => number;
}

export class PlaceFinder {
  readonly #options: PlaceFinderOptions;
  /** Since when we have seen that the texts of a negotiation have run out. */
  readonly #runOutSince = new Map<string, number>();
  /** By owner: how often we went where he said in vain, and until when he is not heeded. */
  readonly #followed = new Map<string, { count: number; untilMs: number }>();

  constructor(options: PlaceFinderOptions) {
    this.#options = options;
  }

  /** Where to agree now. Throws what the controller refuses for good. */
  async find(look: Look): Promise<Found> {
    const owns = look.ground.terms.owners.includes(this.#options.party.peerId);
    if (!owns) return { kind: 'nowhere' };
    let { places, at } = this.#places(look);
    const ended = await this.#ended(places.slice(0, at + 1), look);
    if (ended !== null) return await this.#follow(ended.place, ended.meeting, look);
    for (; at < places.length; at++) {
      const place = places[at] as Place;
      const meeting = await this.#meetingAt(place);
      const why = await this.#whyPast(place, meeting, look);
      if (why === null && meeting !== null)
        return await this.#orWhereOthersWait(place, meeting, look);
      this.#options.log.info(
        { event: 'epoch-abandoned', reason: why ?? 'negotiation-unknown', number: place.number },
        'Nothing can be agreed on there any more; going on with the next number',
      );
      const next = places[at + 1];
      if (next) this.#save(places, next);
    }
    return await this.#meet(places, look);
  }

  /**
   * The first of the places that has ended by enough owners' signatures, with a number beyond all that we have
   * followed: who names an ended negotiation as the next one shall not lead us in circles.
   */
  async #ended(
    places: readonly Place[],
    look: Look,
  ): Promise<{ place: Place; meeting: Meeting } | null> {
    for (const place of places) {
      const negotiation = await this.#look(place.negotiation_id);
      if (negotiation?.status !== 'DONE') continue;
      const meeting = await this.#meetingAt(place);
      const signers = meeting?.consensus?.signers ?? [];
      const owners = signers.filter((key) => look.ground.terms.owners.includes(key));
      const agreed = meeting?.consensus && agreedSnapshot(meeting.consensus.body);
      const isNew = (agreed?.number ?? 0) > (this.#read().agreed_number ?? 0);
      if (meeting && isNew && isQuorum(owners, look.ground)) return { place, meeting };
    }
    return null;
  }

  /** Applies what was agreed, while it may be; else goes on to what follows. */
  async #follow(place: Place, meeting: Meeting, look: Look): Promise<Found> {
    const { party, log, state } = this.#options;
    const { consensus } = meeting;
    if (consensus === null) return { kind: 'again' };
    const { body } = consensus;
    const snapshot = agreedSnapshot(body);
    const number = snapshot?.number ?? place.number;
    const isNext =
      snapshot !== null &&
      snapshot.previous === look.ground.previous &&
      number > (look.directory?.number ?? 0);
    if (isNext && party.now() < appliesUntilMs(body)) {
      const isOurs = consensus.signers.includes(party.peerId);
      if (!isOurs) return { kind: 'again' };
      if (await this.#apply(consensus.consensusId, body.data, look)) return { kind: 'again' };
    }
    const next = placesAfter(party.primitives, meeting, body, number);
    const before = this.#read();
    const { proposed_negotiation_id: proposed, ...kept } = before;
    const isTaken = next.some((one) => one.negotiation_id === proposed);
    const [first] = next;
    const gone = new Set((before.places ?? []).map((one) => one.negotiation_id));
    gone.add(place.negotiation_id);
    const signed = Object.entries(before.signed).filter(([id]) => !gone.has(id));
    state.write({
      ...kept,
      ...(proposed !== undefined && !isTaken && { proposed_negotiation_id: proposed }),
      places: first ? next : [],
      agreed_number: number,
      next_negotiation_id: first?.negotiation_id ?? place.negotiation_id,
      signed: Object.fromEntries(signed),
    });
    this.#followed.clear();
    log.info(
      { event: 'epoch-agreed', number, signers: consensus.signers.length },
      'The nodes have agreed on a snapshot of the directory',
    );
    return first ? { kind: 'again' } : await this.#meet([], look);
  }

  /** @returns whether it is applied now, by whomever */
  async #apply(consensusId: string, data: unknown, { ground }: Look): Promise<boolean> {
    const { party } = this.#options;
    const decision = { consensusId, onLastConsensusId: ground.lastConsensusId };
    return await retrying(party, async () => {
      try {
        await party.client.updatePeer(ground.mixnetId, data, decision);
        return true;
      } catch (error) {
        // Another node came first, or the mixnet has gone on: the next look will show.
        const { code, temporary } = asPanoramixError(error);
        if (temporary) throw error;
        this.#options.log.info(
          { event: 'epoch-unapplied', reason: code },
          'What was agreed on was not applied by this node',
        );
        return false;
      }
    });
  }

  async #whyPast(place: Place, meeting: Meeting | null, look: Look): Promise<string | null> {
    if (meeting === null) return 'negotiation-unknown';
    if (place.number <= (look.directory?.number ?? 0)) return 'number-passed';
    const state = this.#read();
    const hasSigned = state.signed[place.negotiation_id] !== undefined;
    if (!hasSigned && place.number <= (state.signed_number ?? 0)) return 'number-used';
    const negotiation = await this.#look(place.negotiation_id);
    if (!isUsable(negotiation, look.ground)) return 'negotiation-foreign';
    return this.hasRunOut(place, meeting, look) ? 'texts-expired' : null;
  }

  /**
   * Whether an attempt came to no end: all texts that were signed have run out, and one is our own, or nothing
   * has come of it for as long as another text may live. A hostile owner's short-lived text alone ends nothing.
   */
  hasRunOut(place: Place, meeting: Meeting, { ground }: Look): boolean {
    const { party, textMs } = this.#options;
    const nowMs = party.now();
    const id = place.negotiation_id;
    if (!hasRunOut(meeting, ground.terms.owners, place.number, nowMs)) {
      this.#runOutSince.delete(id);
      return false;
    }
    if (this.#read().signed[id] !== undefined) return true;
    const sinceMs = this.#runOutSince.get(id) ?? nowMs;
    this.#runOutSince.set(id, sinceMs);
    return nowMs - sinceMs > textMs();
  }

  /** Stays, or goes where owners say that they wait whom nobody told of this place. */
  async #orWhereOthersWait(place: Place, meeting: Meeting, look: Look): Promise<Found> {
    const here: Found = { kind: 'at', place, meeting };
    const { party } = this.#options;
    const said = await this.#said(look);
    const others = said.filter(({ owner }) => owner !== party.peerId);
    if (others.length === 0) return here;
    const own = said.find(({ owner }) => owner === party.peerId);
    if (own?.negotiation_id !== place.negotiation_id) await this.#say(place, look);
    // What we have signed here may still be agreed on.
    if (this.#read().signed[place.negotiation_id] !== undefined) return here;
    const ours: MeetingPlace = { owner: party.peerId, time: '', ...place };
    const best = await this.#best([...others, ours], look);
    if (best === null || best.negotiation_id === place.negotiation_id) return here;
    this.#follows(best.owner);
    return await this.#goTo(best, look);
  }

  /** No place is left: goes where another owner waits, or waits somewhere and says so. */
  async #meet(places: readonly Place[], look: Look): Promise<Found> {
    const { party, log } = this.#options;
    const said = await this.#said(look);
    const used = Math.max(
      look.directory?.number ?? 0,
      this.#read().signed_number ?? 0,
      ...places.map(({ number }) => number),
    );
    const open = said.filter(({ number }) => number >= used);
    const best = await this.#best(open, look);
    if (best !== null) {
      if (best.owner !== party.peerId) this.#follows(best.owner);
      return await this.#goTo(best, look);
    }
    const number = 1 + Math.max(used, ...said.map((one) => one.number));
    const place = { negotiation_id: await this.propose(look), number };
    const { proposed_negotiation_id: _used, ...kept } = this.#read();
    this.#options.state.write(kept);
    await this.#say(place, look);
    log.warn(
      { event: 'epoch-meeting', number },
      'No negotiation is left in which the owners meet: waiting for them in a new one',
    );
    return await this.#goTo(place, look);
  }

  async #goTo({ negotiation_id, number }: Place, look: Look): Promise<Found> {
    const place = { negotiation_id, number };
    const { places } = this.#places(look);
    const others = places.filter((one) => one.negotiation_id !== negotiation_id);
    this.#save([...others, place], place);
    const meeting = await this.#meetingAt(place);
    return meeting ? { kind: 'at', place, meeting } : { kind: 'again' };
  }

  /** Where owners say that they wait, and where something could still be agreed on. */
  async #said({ ground, directory }: Look): Promise<MeetingPlace[]> {
    const { party } = this.#options;
    const said = await retrying(party, () => party.client.listMeetings(ground.mixnetId));
    const heeded = said.filter(
      ({ owner }) => (this.#followed.get(owner)?.untilMs ?? 0) <= party.now(),
    );
    const highest = highestNumber(directory, party.now());
    return meetingsInOrder(heeded, ground.terms.owners, directory?.number ?? 0, highest);
  }

  /** The usable place with the highest number, of several the one where most wait, then the lowest peer id's. */
  async #best(said: readonly MeetingPlace[], look: Look): Promise<MeetingPlace | null> {
    const signedNumber = this.#read().signed_number ?? 0;
    const waiting = (id: string): number =>
      said.filter(({ negotiation_id: other }) => other === id).length;
    const order = said
      .filter(({ number }) => number > signedNumber)
      .toSorted(
        (left, right) =>
          right.number - left.number ||
          waiting(right.negotiation_id) - waiting(left.negotiation_id) ||
          (left.owner < right.owner ? -1 : 1),
      );
    for (const one of order) {
      if (isUsable(await this.#look(one.negotiation_id), look.ground)) return one;
    }
    return null;
  }

  /** Opens a negotiation among the owners, or takes the one that we opened and nobody has used. */
  async propose(look: Look): Promise<string> {
    const { party, state } = this.#options;
    const proposed = this.#read().proposed_negotiation_id;
    if (proposed !== undefined && isUsable(await this.#look(proposed), look.ground))
      return proposed;
    const id = await retrying(party, () =>
      party.client.createNegotiation(amongOwners(look.ground)),
    );
    state.update({ proposed_negotiation_id: id });
    return id;
  }

  async #say(place: Place, { ground }: Look): Promise<void> {
    const { party } = this.#options;
    const { negotiation_id, number } = place;
    await retrying(party, () =>
      party.client.sayMeeting(ground.mixnetId, { negotiation_id, number }),
    );
  }

  #follows(owner: string): void {
    const { party } = this.#options;
    const { count, untilMs } = this.#followed.get(owner) ?? { count: 0, untilMs: 0 };
    const isTooOften = count + 1 > FOLLOWED_MAX;
    this.#followed.set(owner, {
      count: isTooOften ? 0 : count + 1,
      untilMs: isTooOften ? party.now() + IGNORED_MS : untilMs,
    });
  }

  /** The places, and which of them is the present one; the wizards leave but one, without its number. */
  #places(look: Look): { places: readonly Place[]; at: number } {
    const state = this.#read();
    const { places = [], next_negotiation_id: id } = state;
    const at = places.findIndex((place) => place.negotiation_id === id);
    if (at !== -1) return { places, at };
    if (id === undefined) return { places: [], at: 0 };
    const number = Math.max(look.directory?.number ?? 0, state.signed_number ?? 0) + 1;
    const only = { negotiation_id: id, number };
    // Kept, for a number is the same at every look.
    this.#save([only], only);
    return { places: [only], at: 0 };
  }

  #save(places: readonly Place[], at: Place): void {
    const before = this.#read();
    this.#options.state.write({
      ...before,
      places: [...places],
      next_negotiation_id: at.negotiation_id,
    });
  }

  async #look(id: string): Promise<NegotiationData | null> {
    const { party } = this.#options;
    return await retrying(party, () => party.client.getNegotiation(id));
  }

  async #meetingAt({ negotiation_id: id }: Place): Promise<Meeting | null> {
    const { party } = this.#options;
    try {
      return await retrying(party, () => readMeeting(party.client, party.primitives, id));
    } catch (error) {
      if (asPanoramixError(error).code === 'negotiation-unknown') return null;
      throw error;
    }
  }

  #read(): MixnetState {
    const state = this.#options.state.read();
    if (state) return state;
    throw new PanoramixError(
      'config-invalid',
      `${this.#options.state.path} names no mixnet yet: run the wizard first`,
    );
  }
}
