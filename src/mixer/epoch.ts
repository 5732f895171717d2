/**
 * Keeps the directory alive, unattended, in every running node (design §8): offers the own entry, agrees
 * with the other nodes on the next snapshot by the founding rule, applies it, and has the store take what
 * the controller then serves. Joins in when the last snapshot is due, or when another node asks for one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { signaturesNeeded } from '../api/peer.ts';
import { toHex } from '../bytes.ts';
import { agree, retrying, type Agreed, type Party } from '../client/agree.ts';
import type { ControllerClient } from '../client/controller.ts';
import { nextNegotiation, readMeeting, type Meeting } from '../client/meeting.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { nodeByPeer, type Directory } from '../mixnet/directory.ts';
import { isOutdated } from '../mixnet/key-epochs.ts';
import { signEntry, type Entry, type SignedEntry } from '../mixnet/directory-texts.ts';
import { readFoundation } from '../mixnet/verify-log.ts';
import { readNodes } from '../mixnet/verify-nodes.ts';
import type { DirectoryStore } from './directory-store.ts';
import type { MixnetState, MixnetStateFile } from './mixnet-state.ts';
import {
  composeSnapshot,
  isQuorum,
  offeredEntries,
  offerEntry,
  presentOwners,
  reviewSnapshot,
  type SnapshotGround,
} from './snapshot.ts';

/** Between two looks while something is being agreed on. */
const POLL_MS_DEFAULT = 1_000;
/** Between two looks while all is well. */
const WATCH_MS_DEFAULT = 10_000;
/** How long nodes that are still starting are waited for: longer than a reboot of one is too long. */
const PATIENCE_MS_DEFAULT = 60_000;
/** A snapshot is due at two thirds of its life, */
const DUE_SHARE = 2 / 3;
/** and after three days: the negotiation that follows is kept for seven, opened with this one. */
const DUE_MS_MAX = 3 * 86_400_000;
/** A node may ask for a snapshot out of turn, but not in a loop. */
const ASKED_MS_MIN = 60_000;

/** What a node says of itself in its entry. */
export interface OwnPosition {
  /** Where other nodes post to it. */
  readonly controllerUrl: string;
  readonly paused: boolean;
  readonly endpoints: readonly {
    readonly endpointId: string;
    readonly publicKey: Uint8Array;
    readonly opensMs: number;
    readonly closesMs: number;
  }[];
}

export interface EpochOptions {
  /** The controller on which the owners meet, with this node's key. */
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly primitives: Primitives;
  /** What the wizard left. */
  readonly state: MixnetStateFile;
  readonly store: DirectoryStore;
  /** Asked each time an entry is made: rotation and pauses show here. */
  readonly position: () => OwnPosition;
  readonly log: Log;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  readonly pollMs?: number;
  readonly watchMs?: number;
  readonly patienceMs?: number;
}

/** What the controller served at one look, verified. */
interface Look {
  readonly ground: SnapshotGround;
  /** The last snapshot's directory, expired or not; null before the first. */
  readonly directory: Directory | null;
}

export class Epochs {
  readonly #options: EpochOptions;
  readonly #party: Party;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  /** Since when so many owners are present that a snapshot could be agreed on. */
  #quorumSinceMs: number | null = null;

  constructor(options: EpochOptions) {
    this.#options = options;
    this.#party = {
      client: options.client,
      primitives: options.primitives,
      peerId: options.identity.peerId,
      now: options.now ?? Date.now,
      pollMs: options.pollMs ?? POLL_MS_DEFAULT,
      wait: (delayMs) => sleep(delayMs, undefined, { signal: this.#stopping.signal }),
    };
  }

  /**
   * Starts, and goes on until `stop`.
   * @returns the first directory that is valid now; rejects only when stopped before
   */
  async start(): Promise<Directory> {
    const ready = Promise.withResolvers<Directory>();
    this.#running ??= this.#run(ready.resolve).catch((error: unknown) => {
      ready.reject(error);
    });
    return await ready.promise;
  }

  /** Stops between two requests; what was signed is remembered. */
  async stop(): Promise<void> {
    this.#stopping.abort(new PanoramixError('unexpected', 'stopped'));
    await this.#running;
  }

  async #run(ready: (directory: Directory) => void): Promise<void> {
    for (;;) {
      try {
        const isQuiet = await this.#turn();
        const current = this.#options.store.current();
        if (current.ok) ready(current.directory);
        await this.#party.wait(isQuiet ? this.#watchMs() : this.#party.pollMs);
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
        const { code, message } = asPanoramixError(error);
        this.#options.log.error(
          { event: 'epoch-failed', reason: code, detail: message },
          'The nodes cannot agree on a directory for now; trying again',
        );
        await this.#party.wait(this.#watchMs());
      }
    }
  }

  /** One look and, where it is time, one agreement. @returns whether there was nothing to do */
  async #turn(): Promise<boolean> {
    const look = await this.#look();
    const state = this.#readState();
    const reason = await this.#reasonToAgree(look, state);
    if (reason === null) return true;
    this.#options.log.info(
      { event: 'epoch-begins', reason, number: look.ground.number },
      'Agreeing on the next snapshot of the directory',
    );
    await this.#agree(look, state);
    return false;
  }

  /** Fetches and verifies nodes.json; the store takes what is new. */
  async #look(): Promise<Look> {
    const { client, primitives, store } = this.#options;
    const json = await retrying(this.#party, () => client.getNodes(store.mixnetId));
    const read = readFoundation(json, store.mixnetId, primitives);
    if (!read.ok) throw new PanoramixError('answer-malformed', `nodes.json: ${read.reason}`);
    const { present, log, consensusId, snapshot } = read.foundation;
    if (snapshot !== null) {
      const offered = store.offer(json);
      if (!offered.ok && offered.reason !== 'directory-expired') {
        throw new PanoramixError('answer-malformed', `nodes.json: ${offered.reason}`);
      }
    } else if (store.last()) {
      throw new PanoramixError('answer-malformed', 'nodes.json has lost its snapshot');
    }
    const [logHead, head] = [...log].at(-1) as [string, SnapshotGround['head']];
    const last = snapshot === null ? null : this.#lastOf(json, snapshot);
    return {
      directory: last?.directory ?? null,
      ground: {
        mixnetId: store.mixnetId,
        terms: present,
        number: (last?.directory.number ?? 0) + 1,
        previous: last?.directory.snapshotHash ?? store.mixnetId,
        lastConsensusId: last?.consensusId ?? consensusId,
        logHead,
        head,
      },
    };
  }

  #lastOf(json: unknown, snapshot: unknown): { directory: Directory; consensusId: string } {
    const { primitives, store } = this.#options;
    const read = readNodes(json, store.mixnetId, primitives);
    if (!read.ok) throw new PanoramixError('answer-malformed', `nodes.json: ${read.reason}`);
    return {
      directory: read.directory,
      consensusId: (snapshot as { consensus: string }).consensus,
    };
  }

  async #reasonToAgree(look: Look, state: MixnetState): Promise<string | null> {
    const nowMs = this.#party.now();
    const { directory, ground } = look;
    if (!directory) return 'no-snapshot';
    if (nowMs >= directory.validUntilMs) return 'snapshot-expired';
    const ageMs = nowMs - directory.validFromMs;
    const lifeMs = directory.validUntilMs - directory.validFromMs;
    if (ageMs >= Math.min(DUE_SHARE * lifeMs, DUE_MS_MAX)) return 'snapshot-due';
    if (ground.logHead !== directory.logHead) return 'log-grown';
    if (!this.#isWhatDirectorySays(directory)) return 'own-entry-changed';
    if (ageMs < ASKED_MS_MIN) return null;
    const meeting = await this.#meeting(state);
    const asking = offeredEntries(this.#options.primitives, meeting, ground);
    return asking.length > 0 || meeting.consensus ? 'asked-by-others' : null;
  }

  async #meeting(state: MixnetState): Promise<Meeting> {
    const { client, primitives } = this.#options;
    return await retrying(this.#party, () =>
      readMeeting(client, primitives, state.next_negotiation_id as string),
    );
  }

  #isWhatDirectorySays(directory: Directory): boolean {
    const { identity, position } = this.#options;
    const said = nodeByPeer(directory, identity.peerId);
    const own = position();
    return (
      said?.controllerUrl === own.controllerUrl &&
      said.paused === own.paused &&
      !isOutdated(said.endpoints, own.endpoints, this.#party.now())
    );
  }

  async #agree({ ground }: Look, before: MixnetState): Promise<void> {
    const { primitives, state: file } = this.#options;
    const state = await this.#withProposed(before, ground);
    const negotiationId = state.next_negotiation_id as string;
    const proposed = state.proposed_negotiation_id as string;
    const own = this.#ownEntry(ground);
    this.#quorumSinceMs = null;
    const agreed = await agree(this.#party, {
      negotiationId,
      opening: () => offerEntry(ground, own, proposed),
      compose: (meeting) => this.#compose(meeting, ground, proposed),
      review: (said, meeting) =>
        reviewSnapshot(primitives, said.body, meeting, ground, own, this.#party.now()),
      signed: state.signed[negotiationId] ?? null,
      remember: (text) => file.sign(negotiationId, text),
      onRefusal: 'wait',
    });
    await this.#apply(ground, agreed);
    await this.#look();
  }

  /**
   * The first of those present composes as soon as all nodes are there; after some patience without
   * the others; and the next one after as much again, so that nobody's absence stops it.
   */
  #compose(
    meeting: Meeting,
    ground: SnapshotGround,
    proposed: string,
  ): ReturnType<typeof composeSnapshot> | null {
    const nowMs = this.#party.now();
    const entries = offeredEntries(this.#options.primitives, meeting, ground);
    const owners = presentOwners(entries, ground);
    const rank = owners.indexOf(this.#party.peerId);
    if (rank === -1 || !isQuorum(owners, ground)) return null;
    this.#quorumSinceMs ??= nowMs;
    const isComplete = entries.length === ground.head.nodes.length;
    const patienceMs = this.#options.patienceMs ?? PATIENCE_MS_DEFAULT;
    const turnMs = this.#quorumSinceMs + patienceMs * (isComplete ? rank : rank + 1);
    return nowMs < turnMs ? null : composeSnapshot(entries, ground, proposed, nowMs);
  }

  async #apply(ground: SnapshotGround, { consensus, meeting }: Agreed): Promise<void> {
    const { client, state: file, log, primitives } = this.#options;
    if (
      !isQuorum(
        consensus.signers.filter((key) => ground.terms.owners.includes(key)),
        ground,
      )
    ) {
      throw new PanoramixError('agreement-foreign', 'a snapshot that too few owners have signed');
    }
    if (consensus.signers.includes(this.#party.peerId)) {
      const decision = {
        consensusId: consensus.consensusId,
        onLastConsensusId: ground.lastConsensusId,
      };
      await retrying(this.#party, async () => {
        try {
          await client.updatePeer(ground.mixnetId, consensus.body.data, decision);
        } catch (error) {
          // Another node came first, or the nodes have gone on without us: the next look will show.
          const { code } = asPanoramixError(error);
          if (code !== 'consensus-not-last' && code !== 'chain-broken') throw error;
        }
      });
    }
    const next = nextNegotiation(meeting, consensus.body, primitives);
    if (next === null) {
      throw new PanoramixError('agreement-foreign', 'nobody named the negotiation that follows');
    }
    const { proposed_negotiation_id: _proposed, ...kept } = this.#readState();
    file.write({ ...kept, next_negotiation_id: next, signed: {} });
    log.info(
      { event: 'epoch-agreed', number: ground.number, signers: consensus.signers.length },
      'The nodes have agreed on a snapshot of the directory',
    );
  }

  /** Opens a negotiation to be proposed as the one that follows, once for each agreement. */
  async #withProposed(state: MixnetState, { terms }: SnapshotGround): Promise<MixnetState> {
    if (state.proposed_negotiation_id !== undefined) return state;
    const needed = signaturesNeeded(terms.rule, terms.owners.length);
    const among = { signers: terms.owners, needed };
    const id = await retrying(this.#party, () => this.#options.client.createNegotiation(among));
    return this.#options.state.update({ proposed_negotiation_id: id });
  }

  #ownEntry(ground: SnapshotGround): SignedEntry {
    const { identity, primitives, position } = this.#options;
    const own = position();
    const entry: Entry = {
      mixnet: ground.mixnetId,
      number: ground.number,
      peer_id: identity.peerId,
      controller_url: own.controllerUrl,
      paused: own.paused,
      endpoints: own.endpoints.map((endpoint) => ({
        endpoint_id: endpoint.endpointId,
        public: toHex(endpoint.publicKey),
        opens: new Date(endpoint.opensMs).toISOString(),
        closes: new Date(endpoint.closesMs).toISOString(),
      })),
    };
    return signEntry(primitives, identity, entry);
  }

  #readState(): MixnetState {
    const state = this.#options.state.read();
    if (state?.next_negotiation_id !== undefined) return state;
    throw new PanoramixError(
      'config-invalid',
      `${this.#options.state.path} names no mixnet yet: run the wizard first`,
    );
  }

  #watchMs(): number {
    return this.#options.watchMs ?? WATCH_MS_DEFAULT;
  }
}
