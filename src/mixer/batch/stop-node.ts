/**
 * The unattended loop of an owner's stops (design §7, "single endpoints with random routes"): close what has
 * its minimum, peel, shuffle, publish, pass on to the next owner's stop or the recipient, open again. Each
 * step is our own decision and looks first where the stop stands, so that it may be killed anywhere.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '../../bytes.ts';
import type { EndpointUpdate } from '../../api/endpoint.ts';
import { readBox } from '../../client/batch-read.ts';
import {
  readStops,
  type FoundStop,
  type Readers,
  type StopMixnet,
} from '../../client/batch-stops.ts';
import type { InboxMessage } from '../../client/controller.ts';
import { nodeAddress } from '../../crypto/keys.ts';
import { asPanoramixError, PanoramixError } from '../../errors.ts';
import { chooseClosing, encodeLinkProof } from '../../mixnet/batch-cycle.ts';
import { hashesOf, linkOutputs } from '../../mixnet/batch-link.ts';
import { addDrops, mixBatch, openBatch, type BatchPosition } from '../../mixnet/batch-peel.ts';
import { stopIdOf, stopTerms, type StopTerms } from '../../mixnet/batch-stops.ts';
import type { GroupName } from '../../crypto/primitives.ts';
import { createSphinx } from '../../sphinx/index.ts';
import { destroyBatchKeys, readOrCreateBatchKeys } from './batch-keys.ts';
import { changeAlone, openAlone, type BatchView, type OwnerView } from './batch-view.ts';
import { forwardOf, type Forwards } from './forwards.ts';

const POLL_MS_DEFAULT = 1_000;
/** A controller keeps 256 steps of an endpoint; after so many cycles of three a stop is not opened again, */
const CYCLES_MAX = 80;
/** and half-way its successor is opened, so that what is under way to the old key still arrives. */
const CYCLES_SUCCEEDED = 40;

export interface StopNodeOptions extends BatchView {
  readonly mixnetId: string;
  readonly forwards: Forwards;
  /** How long results that recipients fetch stay before the next cycle opens, ms. */
  readonly lingerMs: number;
  readonly now?: () => number;
  readonly pollMs?: number;
  readonly cyclesMax?: { readonly succeeded: number; readonly last: number };
}

/** Opens a stop of ours, with a key of its own. */
export async function openStop(
  view: OwnerView,
  mixnetId: string,
  group: GroupName,
  terms: StopTerms,
  number: number,
): Promise<string> {
  const { peerId } = view.identity;
  const endpointId = stopIdOf(terms.name, peerId, number);
  const { mixKey } = readOrCreateBatchKeys(view.dataDir, view.primitives, endpointId, group);
  const stop = { peerId, endpointId, publicKey: mixKey.publicKey };
  await openAlone(view, stopTerms(mixnetId, stop, group, terms));
  return endpointId;
}

/** A running owner of stops. */
export class StopNode {
  readonly #options: StopNodeOptions;
  readonly #stopping = new AbortController();
  /** When a result was first seen published, by its consensus id. */
  readonly #publishedMs = new Map<string, number>();
  readonly #readers: Readers = new Map();
  #running: Promise<void> = Promise.resolve();

  constructor(options: StopNodeOptions) {
    this.#options = options;
  }

  /** Starts; goes on until `stop`. */
  start(): void {
    this.#running = this.#run();
  }

  /** Stops between two requests. */
  async stop(): Promise<void> {
    this.#stopping.abort(new PanoramixError('unexpected', 'stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, pollMs = POLL_MS_DEFAULT, forwards } = this.#options;
    for (let said = ''; !this.#stopping.signal.aborted;) {
      try {
        await this.#turn();
        await forwards.post(this.#nowMs());
        said = '';
      } catch (error) {
        const { code, message } = asPanoramixError(error);
        const fields = { event: 'cycle-stopped', reason: code, detail: message };
        if (message !== said) log.error(fields, 'Cannot go on for now; trying again');
        said = message;
      }
      await sleep(pollMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** One step of each of our stops. */
  async #turn(): Promise<void> {
    const { stops: own } = await this.#mixnet([this.#options.identity.peerId]);
    for (const stop of own) {
      const { status } = stop.endpoint;
      if (status === 'CLOSED') await this.#process(await this.#mixnet(), stop);
      else if (status === 'PROCESSED') await this.#openAgain(stop, own);
      else await this.#close(stop);
    }
  }

  async #close({ endpointId, endpoint }: FoundStop): Promise<void> {
    const { client, primitives } = this.#options;
    const { size_min: sizeMin, size_max: sizeMax } = endpoint.fields;
    const inbox = await readBox(client, primitives, { endpointId, box: 'INBOX' });
    const hashes = chooseClosing(inbox, { sizeMin, sizeMax });
    if (hashes === null) return;
    await this.#change({ endpointId, endpoint }, 'CLOSED', { message_hashes: hashes });
  }

  async #process(mixnet: StopMixnet, { endpointId, endpoint, peerId }: FoundStop): Promise<void> {
    const { client, primitives, claims } = this.#options;
    const cycleId = endpoint.lastConsensusId;
    const query = { endpointId, box: 'ACCEPTED' } as const;
    const accepted = await readBox(client, primitives, query, endpoint.accepted ?? []);
    const position = this.#positionOf(mixnet, endpointId);
    const { opened, drops } = openBatch(position, accepted);
    const held = await claims.claim(endpointId, cycleId, opened);
    const fresh = opened.filter((_, index) => held[index]);
    const replayed = opened.length - fresh.length;
    const mixed = mixBatch(position, `${endpointId}/${cycleId}`, fresh);
    const messages = linkOutputs({ peerId, endpointId }, mixed.outputs);
    await client.postMessages(messages);
    const dropped = addDrops(drops, mixed.drops, replayed > 0 ? { replayed } : {});
    await this.#change({ endpointId, endpoint }, 'PROCESSED', {
      message_hashes: hashesOf(primitives, messages),
      process_proof: encodeLinkProof({ cycle: cycleId, drops: dropped }),
    });
  }

  async #openAgain(stop: FoundStop, own: readonly FoundStop[]): Promise<void> {
    const { client, lingerMs, cyclesMax, dataDir, claims } = this.#options;
    const { endpointId, endpoint } = stop;
    const nowMs = this.#nowMs();
    const publishedMs = this.#publishedMs.get(endpoint.lastConsensusId);
    if (publishedMs === undefined) {
      const stays = await this.#passOn(await this.#mixnet(), stop, nowMs);
      this.#publishedMs.set(endpoint.lastConsensusId, stays ? nowMs : nowMs - lingerMs);
      return;
    }
    if (nowMs < publishedMs + lingerMs) return;
    const said = await client.getEndpoint(endpointId);
    const cycles = Math.floor((said?.consensus_logs.length ?? 0) / 3);
    const isNewest = own.at(-1)?.endpointId === endpointId;
    if (isNewest && cycles >= (cyclesMax?.succeeded ?? CYCLES_SUCCEEDED)) {
      await this.#openSuccessor(await this.#mixnet([]), stop);
    }
    if (cycles < (cyclesMax?.last ?? CYCLES_MAX)) {
      await this.#change(stop, 'OPEN', {});
      return;
    }
    destroyBatchKeys(dataDir, endpointId);
    await claims.destroy(endpointId);
  }

  /** Stores what goes on to other stops and to recipients. @returns whether something is left to fetch */
  async #passOn(
    mixnet: StopMixnet,
    { endpointId, endpoint }: FoundStop,
    nowMs: number,
  ): Promise<boolean> {
    const { client, primitives, forwards } = this.#options;
    const query = { endpointId, box: 'OUTBOX' } as const;
    const outbox = await readBox(client, primitives, query, endpoint.published ?? []);
    // What is as long as a packet is one: no message inside a packet can be.
    const { packetBytes } = createSphinx(mixnet.sphinxParams, primitives);
    const isPacket = ({ text }: InboxMessage): boolean =>
      text.length === Math.ceil((packetBytes * 4) / 3);
    const packets = outbox.filter((message) => isPacket(message));
    // An owner whose key changes has two stops for a while: the one whose key it is not drops the packet.
    const onward = packets.flatMap((message) =>
      mixnet.stops
        .filter((stop) => stop.peerId === message.recipient)
        .map((stop) => ({ ...forwardOf(message, nowMs), endpointId: stop.endpointId })),
    );
    await forwards.add(onward);
    const delivered = outbox.filter((message) => !isPacket(message));
    await forwards.addMessages(delivered, nowMs);
    return delivered.length > 0;
  }

  async #openSuccessor(mixnet: StopMixnet, { endpointId, endpoint }: FoundStop): Promise<void> {
    const [, name = '', number = '1'] = /^(.+)_[0-9a-f]{16}_(\d+)$/.exec(endpointId) ?? [];
    const { size_min: sizeMin, size_max: sizeMax, public: isPublic } = endpoint.fields;
    const terms = { name, sizeMin, sizeMax, public: isPublic };
    const { group } = mixnet.sphinxParams;
    const next = await openStop(this.#options, mixnet.mixnetId, group, terms, Number(number) + 1);
    this.#options.log.info({ event: 'stop-succeeded', endpointId: next }, 'Opened with a new key');
  }

  #positionOf(mixnet: StopMixnet, endpointId: string): BatchPosition {
    const { primitives, dataDir } = this.#options;
    const { group } = mixnet.sphinxParams;
    const keys = readOrCreateBatchKeys(dataDir, primitives, endpointId, group);
    const shown = mixnet.stops.find((stop) => stop.endpointId === endpointId);
    if (toHex(keys.mixKey.publicKey) !== toHex(shown?.publicKey ?? new Uint8Array(0))) {
      throw new PanoramixError('config-invalid', `the keys of ${endpointId} are lost`);
    }
    const peers = new Map(mixnet.stops.map((stop) => [this.#addressOf(stop), stop.peerId]));
    return {
      sphinx: createSphinx(mixnet.sphinxParams, primitives),
      primitives,
      secret: keys.mixKey.secret,
      orderKey: keys.orderKey,
      relayTo: (address) => peers.get(toHex(address)) ?? null,
      delivers: true,
    };
  }

  /** The mixnet with the stops of all owners, or of some. */
  async #mixnet(of?: readonly string[]): Promise<StopMixnet> {
    const { client, primitives, mixnetId } = this.#options;
    return await readStops(client, primitives, mixnetId, this.#readers, of);
  }

  #addressOf({ peerId, publicKey }: FoundStop): string {
    return toHex(nodeAddress(this.#options.primitives, peerId, publicKey));
  }

  async #change(
    { endpointId, endpoint }: Pick<FoundStop, 'endpointId' | 'endpoint'>,
    status: EndpointUpdate['status'],
    more: Partial<EndpointUpdate>,
  ): Promise<void> {
    await changeAlone(this.#options, endpoint, { endpoint_id: endpointId, status, ...more });
    const messages = more.message_hashes?.length;
    const fields = { event: `stop-${status.toLowerCase()}`, endpointId };
    this.#options.log.info(
      { ...fields, ...(messages !== undefined && { messages }) },
      'Stop went on',
    );
  }

  #nowMs(): number {
    return (this.#options.now ?? Date.now)();
  }
}
