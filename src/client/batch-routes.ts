/**
 * Sending over random routes of a batch mixnet, and reading what its stops give, from the mix-net URL alone
 * (design §7). One packet passes up to three owners, drawn anew each time.
 */
import { fromBase64url, fromHex, toBase64url, toHex } from '../bytes.ts';
import { createIdentity } from '../crypto/keys.ts';
import { PanoramixError } from '../errors.ts';
import { RECIPIENT_BYTES } from '../mixnet/batch-peel.ts';
import { drawStops, stopHops } from '../mixnet/batch-stops.ts';
import { createSphinx } from '../sphinx/index.ts';
import type { BatchMessage, BatchOptions } from './batch-mixnet.ts';
import { readBox } from './batch-read.ts';
import { readStops, type Readers, type StopMixnet } from './batch-stops.ts';
import { readMixnetUrl } from './careful.ts';
import { ControllerClient } from './controller.ts';

const SERIAL_BYTES = 16;

/** What one stop gave in one cycle. */
export interface StopResult {
  /** Consensus id of the result, which the stop's owner has signed. */
  readonly cycleId: string;
  readonly messages: readonly BatchMessage[];
}

/** Uses a mixnet of stops. All methods throw PanoramixError `controller-lies` for what is not proven. */
export class RouteClient {
  readonly #options: BatchOptions;
  readonly #client: ControllerClient;
  readonly #mixnetId: string;
  readonly #readers: Readers = new Map();

  /** @throws PanoramixError `config-invalid` where the URL is none of a mixnet */
  constructor(options: BatchOptions) {
    const url = readMixnetUrl(options.mixnetUrl);
    if (!url) throw new PanoramixError('config-invalid', 'not the URL of a mixnet');
    const { primitives, address, identity = createIdentity(options.primitives) } = options;
    this.#options = options;
    this.#mixnetId = url.mixnetId;
    this.#client = new ControllerClient({
      url: url.controllerUrl,
      identity,
      primitives,
      ...(address && { address }),
    });
  }

  /** The mixnet and its stops as they are now, proven from its id. */
  async init(): Promise<StopMixnet> {
    const { primitives } = this.#options;
    return await readStops(this.#client, primitives, this.#mixnetId, this.#readers);
  }

  /**
   * Sends one message over a route of its own, by a key of its own.
   * @param sent.recipient peer id; default the mixnet itself, that is everybody who reads
   * @throws PanoramixError `endpoint-closed` or `endpoint-full` where the first stop is between two cycles:
   *   send it again, over another route; `endpoint-unknown` where an owner has no stop
   */
  async send(
    mixnet: StopMixnet,
    sent: { readonly message: Uint8Array; readonly recipient?: string },
  ): Promise<void> {
    const { primitives, address } = this.#options;
    const { message, recipient = mixnet.mixnetId } = sent;
    if (message.length === 0) throw new RangeError('an empty message cannot be sent');
    const dest = fromHex(recipient);
    if (dest?.length !== RECIPIENT_BYTES) throw new RangeError('recipient: 64 hex digits');
    if (!mixnet.owners.every((owner) => mixnet.stops.some((stop) => stop.peerId === owner))) {
      throw new PanoramixError('endpoint-unknown', 'not every owner has a stop yet');
    }
    const route = drawStops(primitives.random, mixnet.stops);
    const [first] = route;
    if (!first) throw new PanoramixError('endpoint-unknown', 'the mixnet has no owner');
    const sphinx = createSphinx(mixnet.sphinxParams, primitives);
    const packet = sphinx.build(stopHops(primitives, route), dest, message);
    const stranger = new ControllerClient({
      url: this.#client.url,
      identity: createIdentity(primitives),
      primitives,
      ...(address && { address }),
    });
    await stranger.postMessage({
      endpointId: first.endpointId,
      recipient: first.peerId,
      text: toBase64url(packet),
      serial: toHex(primitives.random(SERIAL_BYTES)),
    });
  }

  /**
   * What the stops whose results stand now have for a recipient, one result each.
   * @param recipient default the mixnet itself; another needs its key where the OUTBOX is not public
   */
  async read(mixnet: StopMixnet, recipient = mixnet.mixnetId): Promise<StopResult[]> {
    const results: StopResult[] = [];
    for (const { endpointId, endpoint } of mixnet.stops) {
      if (endpoint.status !== 'PROCESSED') continue;
      const query = { endpointId, box: 'OUTBOX', recipient } as const;
      const read = await readBox(this.#client, this.#options.primitives, query);
      // Where the next cycle has opened meanwhile, the OUTBOX that was signed is gone.
      const now = await this.#client.getEndpoint(endpointId);
      if (now?.consensus_logs.at(-1)?.consensus_id !== endpoint.lastConsensusId) continue;
      const named = new Set(endpoint.published);
      const isSigned = read.every(
        (one) => one.recipient === recipient && named.has(one.messageHash),
      );
      if (!isSigned) {
        throw new PanoramixError('controller-lies', `message-unexpected: ${endpointId} OUTBOX`);
      }
      const messages = read.map(({ text }) => ({
        recipient,
        message: fromBase64url(text) ?? new Uint8Array(0),
      }));
      results.push({ cycleId: endpoint.lastConsensusId, messages });
    }
    return results;
  }
}
