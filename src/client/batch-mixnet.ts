/**
 * A batch mixnet from its URL alone (D4.2 §3.2, `init`): the id in the URL commits to the owners, the
 * owners have signed the gateway endpoint with every link's key, and both are checked here. What is
 * sent goes into the open cycle; what comes out is compared with what the owners agreed on.
 */
import { canonicalText } from '../api/canonical.ts';
import { decodeBatchParams, type BatchLink } from '../api/batch-params.ts';
import {
  BATCH_GATEWAY,
  type EndpointData,
  type EndpointFields,
  type EndpointStatus,
} from '../api/endpoint.ts';
import { fromBase64url, fromHex, toBase64url, toHex } from '../bytes.ts';
import { createIdentity, type Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { decodeCycleProof } from '../mixnet/batch-cycle.ts';
import { dummyTexts } from '../mixnet/batch-dummy.ts';
import { chainHops } from '../mixnet/batch-link.ts';
import { RECIPIENT_BYTES } from '../mixnet/batch-peel.ts';
import { parseMixnet, sphinxParamsOf } from '../mixnet/directory-texts.ts';
import { createSphinx, type SphinxParams } from '../sphinx/index.ts';
import { readBox } from './batch-read.ts';
import { CarefulClient, readMixnetUrl } from './careful.ts';
import { ControllerClient, type InboxMessage } from './controller.ts';
import type { VerifiedEndpoint } from './verify-endpoint.ts';

const SERIAL_BYTES = 16;

/** What a program needs to use a batch mixnet. */
export interface BatchOptions {
  /** `<controller>/panoramix/peers/ID/`, as the wizard printed it (D4.2 §5.1). */
  readonly mixnetUrl: string;
  readonly primitives: Primitives;
  /** Who reads; default a fresh key, enough where the OUTBOX is public. */
  readonly identity?: Identity;
  /** Where requests travel, where that differs from the controller's URL. */
  readonly address?: string;
}

/** A batch mixnet whose owners and gateway are proven. */
export interface BatchMixnet {
  readonly mixnetId: string;
  readonly controllerUrl: string;
  readonly owners: readonly string[];
  readonly sphinxParams: SphinxParams;
  /** As all owners have signed it. */
  readonly terms: EndpointFields;
  /** In the order in which packets pass them. */
  readonly links: readonly BatchLink[];
}

/** A message that came out of a cycle. */
export interface BatchMessage {
  /** Peer id; the mixnet's own where it is for everybody who reads. */
  readonly recipient: string;
  readonly message: Uint8Array;
}

/** What came out of one cycle. */
export interface BatchResult {
  /** Consensus id of the result, which all owners have signed. */
  readonly cycleId: string;
  readonly messages: readonly BatchMessage[];
}

/** Uses one batch mixnet. All methods throw PanoramixError `controller-lies` for what is not proven. */
export class BatchClient {
  readonly #options: BatchOptions;
  readonly #client: ControllerClient;
  readonly #careful: CarefulClient;
  readonly #mixnetId: string;

  /** @throws PanoramixError `config-invalid` where the URL is none of a mixnet */
  constructor(options: BatchOptions) {
    this.#options = options;
    const url = readMixnetUrl(options.mixnetUrl);
    if (!url) throw new PanoramixError('config-invalid', 'not the URL of a mixnet');
    const { primitives } = options;
    this.#mixnetId = url.mixnetId;
    this.#client = this.#clientOf(
      options.identity ?? createIdentity(primitives),
      url.controllerUrl,
    );
    this.#careful = new CarefulClient(this.#client, primitives, url.mixnetId);
  }

  /**
   * The mixnet as it stands now, proven from its id. Of several gateways the one that is open, or was
   * last, is taken.
   * @throws PanoramixError `endpoint-unknown` where there is no gateway yet
   */
  async init(): Promise<BatchMixnet> {
    const { primitives } = this.#options;
    const peer = await this.#careful.peer();
    const founding = peer.terms && parseMixnet(canonicalText(peer.terms));
    const { fields } = await this.#careful.endpoint(await this.#gatewayId());
    const params = decodeBatchParams(fields.endpoint_params);
    const sphinxParams = founding && sphinxParamsOf(founding.params);
    if (params?.kind !== 'gateway' || sphinxParams?.group !== params.group) {
      throw new PanoramixError('mixnet-unverified', 'what the owners signed is no gateway');
    }
    if (params.links.map((link) => link.peerId).join() !== peer.owners.join()) {
      throw new PanoramixError('mixnet-unverified', 'the chain is not one link of each owner');
    }
    const group = primitives.group(params.group);
    if (!params.links.every((link) => group.accepts(link.publicKey))) {
      throw new PanoramixError('mixnet-unverified', 'a link has no usable key');
    }
    return {
      mixnetId: this.#mixnetId,
      controllerUrl: this.#client.url,
      owners: peer.owners,
      sphinxParams,
      terms: fields,
      links: params.links,
    };
  }

  /** Where the present cycle stands; messages are taken while it is OPEN. */
  async statusOf(mixnet: BatchMixnet): Promise<EndpointStatus> {
    return (await this.#careful.endpoint(mixnet.terms.endpoint_id)).status;
  }

  /** The longest message that a packet of this mixnet carries, bytes. */
  messageBytesMax(mixnet: BatchMixnet): number {
    const sphinx = createSphinx(mixnet.sphinxParams, this.#options.primitives);
    return sphinx.messageBytesMax(RECIPIENT_BYTES);
  }

  /**
   * Sends one message, by a key of its own that nobody has seen before and nobody will again.
   * @param sent.recipient peer id; default the mixnet itself, that is everybody who reads its OUTBOX
   * @param sent.message 1 to `messageBytesMax` bytes. All packets have one size, but in the OUTBOX each
   *   message has its own: pad what its length would betray, and seal what only the recipient may read
   * @throws PanoramixError `endpoint-full` or `endpoint-closed` between two cycles: send it again then
   */
  async send(
    mixnet: BatchMixnet,
    sent: { readonly message: Uint8Array; readonly recipient?: string },
  ): Promise<void> {
    const { primitives } = this.#options;
    const { message, recipient = mixnet.mixnetId } = sent;
    if (message.length === 0) throw new RangeError('an empty message cannot be sent');
    const dest = fromHex(recipient);
    if (dest?.length !== RECIPIENT_BYTES) throw new RangeError('recipient: 64 hex digits');
    const sphinx = createSphinx(mixnet.sphinxParams, primitives);
    const packet = sphinx.build(chainHops(primitives, mixnet.links), dest, message);
    const sender = this.#clientOf(createIdentity(primitives), mixnet.controllerUrl);
    await sender.postMessage({
      endpointId: mixnet.terms.endpoint_id,
      recipient: mixnet.mixnetId,
      text: toBase64url(packet),
      serial: toHex(primitives.random(SERIAL_BYTES)),
    });
  }

  /**
   * What the last cycle gave, without the owners' dummies; null while the cycle is not processed.
   * @param recipient only what is for this peer; needed, with its key, where the OUTBOX is not public
   */
  async read(mixnet: BatchMixnet, recipient?: string): Promise<BatchResult | null> {
    const { primitives } = this.#options;
    const endpointId = mixnet.terms.endpoint_id;
    const endpoint = await this.#careful.endpoint(endpointId);
    if (endpoint.status !== 'PROCESSED') return null;
    const nonces = decodeCycleProof(endpoint.proof ?? undefined);
    if (nonces === null)
      throw new PanoramixError('cycle-refused', `proof-malformed: ${endpointId}`);
    let messages: readonly InboxMessage[];
    try {
      messages = await this.#outbox(endpointId, endpoint, recipient);
    } catch (error) {
      // Where the next cycle has opened meanwhile, the OUTBOX that was signed is gone: no lie in that.
      const now = await this.#careful.endpoint(endpointId);
      if (now.lastConsensusId !== endpoint.lastConsensusId) return null;
      throw error;
    }
    const dummies = dummyTexts(primitives, endpointId, nonces);
    return {
      cycleId: endpoint.lastConsensusId,
      messages: messages
        .filter((message) => message.recipient !== mixnet.mixnetId || !dummies.has(message.text))
        .map((message) => ({
          recipient: message.recipient,
          message: fromBase64url(message.text) ?? new Uint8Array(0),
        })),
    };
  }

  async #outbox(
    endpointId: string,
    { published }: VerifiedEndpoint,
    recipient: string | undefined,
  ): Promise<readonly InboxMessage[]> {
    const { primitives } = this.#options;
    const query = { endpointId, box: 'OUTBOX' } as const;
    if (recipient === undefined) return await readBox(this.#client, primitives, query, published);
    // Who is shown his own messages alone can tell what was added, not what is missing.
    const own = await readBox(this.#client, primitives, { ...query, recipient });
    const named = new Set(published);
    const isWhole = own.every((one) => one.recipient === recipient && named.has(one.messageHash));
    if (isWhole) return own;
    throw new PanoramixError('controller-lies', `message-unexpected: ${endpointId} OUTBOX`);
  }

  async #gatewayId(): Promise<string> {
    const all = await this.#client.listEndpoints({ peer_id: this.#mixnetId });
    const gateways = all
      .filter((endpoint) => endpoint.endpoint_type === BATCH_GATEWAY)
      .toSorted((left, right) => (lastTime(left) < lastTime(right) ? -1 : 1));
    const found = gateways.findLast(({ status }) => status === 'OPEN') ?? gateways.at(-1);
    if (!found) throw new PanoramixError('endpoint-unknown', 'the mixnet has no gateway yet');
    return found.endpoint_id;
  }

  #clientOf(identity: Identity, url: string): ControllerClient {
    const { primitives, address } = this.#options;
    return new ControllerClient({ url, identity, primitives, ...(address && { address }) });
  }
}

function lastTime(endpoint: EndpointData): string {
  return endpoint.consensus_logs.at(-1)?.timestamp ?? '';
}
