/**
 * Keeps the directory alive, unattended, in every running node (design §8): offers the own entry, agrees
 * with the other nodes on the next snapshot by the owners' rule, and has the store take what the controller
 * then serves. Joins in when the last snapshot is due, or when another node asks for one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { retrying, type Party } from '../client/agree.ts';
import type { ControllerClient } from '../client/controller.ts';
import type { Meeting } from '../client/meeting.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Directory } from '../mixnet/directory.ts';
import { Askers } from './askers.ts';
import { Attempt } from './attempt.ts';
import { DirectoryReport } from './directory-report.ts';
import type { DirectoryStore } from './directory-store.ts';
import { lookAt, type Look } from './ground.ts';
import { knownAfter } from './known-nodes.ts';
import type { MixnetStateFile } from './mixnet-state.ts';
import { PACE_AT_FIRST, paceOf, slowerPace, type Pace } from './pace.ts';
import { PlaceFinder } from './place-finder.ts';
import type { Place } from './places.ts';
import { lacksOwn, type OwnPosition } from './position.ts';
import { offersIn } from './snapshot.ts';

export type { OwnPosition } from './position.ts';

/** What leads an attempt to no end by itself: the next look shows where to go on. */
const ABANDONED: readonly string[] = [
  'agreement-abandoned',
  'negotiation-unknown',
  'negotiation-full',
  'contribution-expired',
];

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
  /** The negotiation of the change that the operator proposes on a head of the log, to tell the others of it. */
  readonly ownChange?: (logHead: string) => string | null;
  readonly log: Log;
  /** For `status`. */
  readonly report?: DirectoryReport;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  /** Instead of the mixnet's own pace. */
  readonly pollMs?: number;
  readonly watchMs?: number;
  readonly patienceMs?: number;
  readonly textMs?: number;
}

export class Epochs {
  readonly #options: EpochOptions;
  readonly #party: Party;
  readonly #finder: PlaceFinder;
  readonly #report: DirectoryReport | null;
  readonly #askers = new Askers();
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #pace: Pace;
  #said = '';

  constructor(options: EpochOptions) {
    this.#options = options;
    this.#report = options.report ?? null;
    this.#pace = this.#paced(PACE_AT_FIRST);
    const pollMs = (): number => this.#pace.pollMs;
    this.#party = {
      client: options.client,
      primitives: options.primitives,
      peerId: options.identity.peerId,
      now: options.now ?? Date.now,
      get pollMs() {
        return pollMs();
      },
      wait: (delayMs) => sleep(delayMs, undefined, { signal: this.#stopping.signal }),
    };
    const { state, log } = options;
    const textMs = (): number => this.#pace.textMs;
    this.#finder = new PlaceFinder({ party: this.#party, state, log, textMs });
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
        this.#report?.noteTrouble(null, this.#party.now());
        await this.#party.wait(isQuiet ? this.#pace.watchMs : this.#pace.pollMs);
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
        await this.#failed(error);
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { code, message } = asPanoramixError(error);
    if (ABANDONED.includes(code)) {
      this.#options.log.info(
        { event: 'epoch-abandoned', reason: code, detail: message },
        'An attempt to agree on a directory came to no end',
      );
      await this.#party.wait(this.#pace.pollMs);
      return;
    }
    this.#report?.noteTrouble(code, this.#party.now());
    this.#options.log.error(
      { event: 'epoch-failed', reason: code, detail: message },
      'The nodes cannot agree on a directory for now; trying again',
    );
    await this.#party.wait(this.#pace.watchMs);
  }

  /** One look and, where it is time, one agreement. @returns whether there was nothing to do */
  async #turn(): Promise<boolean> {
    const look = await this.#look();
    const found = await this.#finder.find(look);
    if (found.kind === 'again') return false;
    if (found.kind === 'nowhere' || !this.#isNode(look)) {
      this.#say('epoch-outside', 'This node is none of the mixnet, as its owners have agreed');
      return true;
    }
    const { place, meeting } = found;
    const reason = this.#reasonToAgree(look, place, meeting);
    if (reason === null) {
      this.#said = '';
      return true;
    }
    const fields = { reason, number: place.number };
    this.#say('epoch-begins', 'Agreeing on the next snapshot of the directory', fields);
    await this.#agree(place, look);
    return false;
  }

  async #agree(place: Place, look: Look): Promise<void> {
    const { identity, primitives, position, ownChange, state, log } = this.#options;
    const attempt = new Attempt({
      party: this.#party,
      identity,
      primitives,
      state,
      log,
      report: this.#report,
      position,
      change: ownChange?.(look.ground.logHead) ?? null,
      proposed: await this.#finder.propose(look),
      pace: slowerPace(
        look.directory === null ? { ...this.#pace, ...this.#first() } : this.#pace,
        place.number - (look.directory?.number ?? 0) - 1,
      ),
      look,
      place,
      hasRunOut: (meeting) => this.#finder.hasRunOut(place, meeting, look),
      isElsewhere: async () => await this.#isElsewhere(place, look),
    });
    await attempt.run();
  }

  /** At first all nodes are waited for, for they have just been started. */
  #first(): Pick<Pace, 'patienceMs'> {
    return { patienceMs: this.#options.patienceMs ?? PACE_AT_FIRST.patienceMs };
  }

  /** Whether the others have gone on, or what the snapshot stands on has changed. */
  async #isElsewhere(place: Place, before: Look): Promise<boolean> {
    const look = await this.#look();
    const { previous, logHead } = look.ground;
    if (previous !== before.ground.previous || logHead !== before.ground.logHead) return true;
    const found = await this.#finder.find(look);
    return found.kind !== 'at' || found.place.negotiation_id !== place.negotiation_id;
  }

  async #look(): Promise<Look> {
    const { client, primitives, store } = this.#options;
    const json = await retrying(this.#party, () => client.getNodes(store.mixnetId));
    const look = lookAt(json, store, primitives);
    this.#pace = this.#paced(paceOf(look.ground.head.snapshot_lifetime_ms));
    this.#followNodes(look);
    return look;
  }

  /** Tells the own controller who is a node now, by the state file. */
  #followNodes({ ground, directory }: Look): void {
    const { state } = this.#options;
    const known = knownAfter(state.read() ?? {}, ground.head, directory, this.#party.now());
    if (known) state.update(known);
  }

  #paced(pace: Pace): Pace {
    const { pollMs, watchMs, patienceMs, textMs } = this.#options;
    return {
      ...pace,
      ...(pollMs !== undefined && { pollMs }),
      ...(watchMs !== undefined && { watchMs }),
      ...(patienceMs !== undefined && { patienceMs }),
      ...(textMs !== undefined && { textMs }),
    };
  }

  #isNode({ ground }: Look): boolean {
    return ground.head.nodes.some((node) => node.peer_id === this.#party.peerId);
  }

  #reasonToAgree({ directory, ground }: Look, place: Place, meeting: Meeting): string | null {
    const { primitives, position, ownChange, state } = this.#options;
    const nowMs = this.#party.now();
    if (!directory) return 'no-snapshot';
    if (nowMs >= directory.validUntilMs) return 'snapshot-expired';
    const ageMs = nowMs - directory.validFromMs;
    if (ageMs >= this.#pace.dueMs) return 'snapshot-due';
    if (ground.logHead !== directory.logHead) return 'log-grown';
    if (lacksOwn(directory, this.#party.peerId, position())) return 'own-entry-changed';
    const change = ownChange?.(ground.logHead) ?? null;
    if (change !== null && change !== state.read()?.announced_change) return 'change-proposed';
    if (ageMs < this.#pace.askedMs) return null;
    const { entries } = offersIn(primitives, meeting.statements, {
      ...ground,
      number: place.number,
    });
    const offered = new Set(entries.map((entry) => entry.peer_id));
    const asking = meeting.statements.map(({ signer }) => signer).filter((id) => offered.has(id));
    const isHeeded = this.#askers.heed(asking, directory.number, nowMs, this.#pace.dueMs);
    return isHeeded ? 'asked-by-others' : null;
  }

  /** Says something once, until something else is to be said. */
  #say(event: string, text: string, fields: object = {}): void {
    const said = JSON.stringify({ event, ...fields });
    if (said === this.#said) return;
    this.#said = said;
    this.#options.log.info({ event, ...fields }, text);
  }
}
