/**
 * The unattended loop of an owner of a batch mixnet (D4.2 §3.3, §3.4): close, mix, publish, forward, open the
 * next cycle, all by negotiation. Where it stands is in the state file, what was agreed at the
 * controller, and the rest follows from the keys: it may be killed anywhere, and repeats harm nobody.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalText } from '../../api/canonical.ts';
import type { EndpointUpdate } from '../../api/endpoint.ts';
import { batchHash } from '../../api/message.ts';
import { retrying, type Party } from '../../client/agree.ts';
import { asPanoramixError, PanoramixError } from '../../errors.ts';
import { parseMixnet } from '../../mixnet/directory-texts.ts';
import type { BatchState, MixnetState, MixnetStateFile } from '../mixnet-state.ts';
import { agreeOnStep, type Step, type StepGround } from './agree-step.ts';
import { destroyBatchKeys, listBatchKeys } from './batch-keys.ts';
import { carefulOf, type BatchView } from './batch-view.ts';
import { closeStep, fixedStep, fullStep, Inbox } from './closing.ts';
import { nextGatewayId, termsOf } from './creation.ts';
import { readCycle, type Cycle } from './cycle.ts';
import type { Forwards } from './forwards.ts';
import { CLOSINGS_MAX, firstStep, openGateway, writeStep } from './opening.ts';
import { linkIdOf } from './own-link.ts';
import { Publishing } from './publishing.ts';

const POLL_MS_DEFAULT = 1_000;
/** After something that waiting does not change, such as an owner who cheats. */
const WATCH_MS_DEFAULT = 10_000;

export interface BatchNodeOptions extends BatchView {
  /** What the wizard left. */
  readonly state: MixnetStateFile;
  readonly forwards: Forwards;
  /** The coordinator's: how long a result stays to be fetched before the next cycle opens, ms. */
  readonly lingerMs: number;
  readonly now?: () => number;
  readonly pollMs?: number;
  readonly watchMs?: number;
  /** Cycles of one gateway, the same for all owners. */
  readonly closingsMax?: number;
}

/** A running owner. */
export class BatchNode {
  readonly #options: BatchNodeOptions;
  readonly #party: Party;
  readonly #closingsMax: number;
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: BatchNodeOptions) {
    this.#options = options;
    this.#closingsMax = options.closingsMax ?? CLOSINGS_MAX;
    this.#party = {
      client: options.client,
      primitives: options.primitives,
      peerId: options.identity.peerId,
      now: options.now ?? Date.now,
      pollMs: options.pollMs ?? POLL_MS_DEFAULT,
      wait: (delayMs) => sleep(delayMs, undefined, { signal: this.#stopping.signal }),
    };
  }

  /** Starts; goes on until `stop`. */
  start(): void {
    this.#running = Promise.allSettled([
      this.#always('cycle-stopped', this.#options.watchMs ?? WATCH_MS_DEFAULT, () => this.#turn()),
      this.#always('forwards-wait', this.#party.pollMs, async () => {
        await this.#options.forwards.post(this.#party.now());
        await this.#party.wait(this.#party.pollMs);
      }),
    ]);
  }

  /** Stops between two requests. */
  async stop(): Promise<void> {
    this.#stopping.abort(new PanoramixError('unexpected', 'stopped'));
    await this.#running;
  }

  /** Repeats an action until the node stops; what it throws is said once, and tried again after a pause. */
  async #always(event: string, pauseMs: number, action: () => Promise<void>): Promise<void> {
    for (let said = ''; !this.#stopping.signal.aborted;) {
      try {
        await action();
        said = '';
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const { code, message } = asPanoramixError(error);
        if (message !== said) {
          const fields = { event, reason: code, detail: message };
          this.#options.log.error(fields, 'Cannot go on for now; trying again');
        }
        said = message;
        await this.#party.wait(pauseMs).catch(() => undefined);
      }
    }
  }

  /** One step, from where the state file says that we stand. */
  async #turn(): Promise<void> {
    const state = this.#read();
    if (state.batch.step === 'create') return await this.#renew(state);
    await this.#destroyOldKeys(state.batch);
    const cycle = await readCycle(this.#options, state.mixnet_id, state.batch);
    const owners = cycle.links.map((link) => link.peerId);
    const { step, next } = await this.#stepOf(cycle, state.batch);
    await this.#take(cycle, this.#ground(state, owners), step, next);
  }

  /** What is to be agreed on now, and what follows from it. */
  async #stepOf(
    cycle: Cycle,
    batch: BatchState,
  ): Promise<{ readonly step: Step; readonly next: (consensusId: string) => Partial<BatchState> }> {
    const info = {
      resource: 'endpoint',
      operation: 'partial_update',
      on_last_consensus_id: batch.last_consensus_id,
    };
    const { gatewayId: endpointId, terms } = cycle;
    if (batch.step === 'full' || batch.step === 'close') {
      const inbox = new Inbox(this.#options, cycle, this.#party.now);
      const fields = { event: 'inbox-fills', endpointId, sizeMin: terms.size_min };
      this.#options.log.info(fields, 'Waiting until minimum inbox size is reached');
      if (batch.step === 'full') {
        return { step: fullStep(inbox, cycle, info), next: () => ({ step: 'close' }) };
      }
      return {
        step: closeStep(this.#options, inbox, cycle, info),
        next: (closed) => ({
          step: 'publish',
          closings: batch.closings + 1,
          closing_consensus_id: closed,
        }),
      };
    }
    if (batch.step === 'publish') {
      const wait = (): Promise<void> => this.#party.wait(this.#party.pollMs);
      const publishing = new Publishing(this.#options, cycle, wait);
      await publishing.mix();
      const after = batch.closings >= this.#closingsMax ? 'create' : 'open';
      return { step: publishing.step(info), next: () => ({ step: after }) };
    }
    await this.#options.forwards.addFrom(cycle, this.#party.now());
    const opensMs = this.#party.now() + this.#options.lingerMs;
    const data = { endpoint_id: endpointId, status: 'OPEN' };
    return {
      step: {
        ...fixedStep('open', info, data),
        // Who has no endpoint fetches from the OUTBOX, which the next cycle empties.
        compose: () => (this.#party.now() < opensMs ? null : data),
      },
      next: (opened) => ({
        step: firstStep(batch.closings, this.#closingsMax),
        opened: [opened, ...batch.opened.slice(0, 1)],
      }),
    };
  }

  /** Agrees on a step, applies it, and writes down where the cycle stands now. */
  async #take(
    cycle: Cycle,
    ground: StepGround,
    step: Step,
    next: (consensusId: string) => Partial<BatchState>,
  ): Promise<void> {
    const { client, primitives, log, state: file } = this.#options;
    const agreed = await agreeOnStep(ground, step);
    const { batch } = this.#read();
    const data = agreed.data as unknown as EndpointUpdate;
    await retrying(this.#party, () =>
      client.updateEndpoint(data, {
        consensusId: agreed.consensusId,
        onLastConsensusId: batch.last_consensus_id ?? '',
      }),
    );
    const hashes = data.message_hashes;
    writeStep(file, agreed, {
      ...batch,
      last_consensus_id: agreed.consensusId,
      ...next(agreed.consensusId),
    });
    log.info(
      {
        event: `gateway-${step.name}`,
        endpointId: cycle.gatewayId,
        consensus: agreed.consensusId,
        ...(hashes && { messages: hashes.length, hash: batchHash(primitives, hashes) }),
      },
      'Consensus reached, and applied',
    );
  }

  /** The gateway has had its cycles: all owners draw new keys and open the next one on the same terms. */
  async #renew(state: OwnerState): Promise<void> {
    const { identity, forwards, log } = this.#options;
    const cycle = await readCycle(this.#options, state.mixnet_id, state.batch);
    await forwards.addFrom(cycle, this.#party.now());
    const { terms: founding, owners } = await carefulOf(this.#options, state.mixnet_id).peer();
    const mixnet = founding && parseMixnet(canonicalText(founding));
    const before = termsOf(cycle.terms);
    if (!mixnet || !before) throw new PanoramixError('mixnet-unverified', 'no gateway to renew');
    const endpointId = nextGatewayId(state.mixnet_id, cycle.gatewayId);
    const wanted = { ...before, endpointId };
    const isCoordinator = state.coordinator === identity.peerId;
    const wish = {
      mixnetId: state.mixnet_id,
      group: mixnet.params.GROUP,
      proposal: isCoordinator ? wanted : null,
      refuse: (terms: object) =>
        canonicalText(terms) === canonicalText(wanted) ? null : 'terms-changed',
    };
    await openGateway(this.#options, this.#ground(state, owners), wish, this.#closingsMax);
    const fields = { event: 'gateway-renewed', endpointId: wanted.endpointId };
    log.info(fields, 'Opened the next gateway with new keys');
  }

  /** Nothing will be sent to another gateway's keys again: what went through them stays closed. */
  async #destroyOldKeys(batch: BatchState): Promise<void> {
    const { claims, dataDir, identity } = this.#options;
    const present = linkIdOf(identity.peerId, batch.endpoint_id ?? '');
    for (const endpointId of listBatchKeys(dataDir)) {
      if (endpointId === present) continue;
      // The key goes last: where it is still there after a crash, both go again.
      await claims.destroy(endpointId);
      destroyBatchKeys(dataDir, endpointId);
    }
  }

  #ground(state: OwnerState, owners: readonly string[]): StepGround {
    const { log, state: file } = this.#options;
    const { coordinator } = state;
    return { party: this.#party, file, log, owners, coordinator, onRefusal: 'wait' };
  }

  #read(): OwnerState {
    const state = this.#options.state.read();
    const { batch, mixnet_id: mixnetId, coordinator } = state ?? {};
    if (state && batch && mixnetId && coordinator) {
      return { ...state, batch, mixnet_id: mixnetId, coordinator };
    }
    throw new PanoramixError('config-invalid', 'the state file names no batch mixnet');
  }
}

/** A state file that the wizard has finished. */
type OwnerState = MixnetState & {
  readonly batch: BatchState;
  readonly mixnet_id: string;
  readonly coordinator: string;
};
