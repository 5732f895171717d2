/**
 * A client that holds only a mix-net URL and believes nothing that it has not checked: each peer,
 * endpoint and box with the records of the decisions behind it (verify.ts, verify-endpoint.ts).
 */
import type { NegotiationData } from '../api/negotiation.ts';
import type { ConsensusLog } from '../api/peer.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { ControllerClient, InboxMessage } from './controller.ts';
import { verifyBox, type VerifiedEndpoint, verifyEndpoint } from './verify-endpoint.ts';
import { type Records, type Told, type VerifiedPeer, verifyPeer } from './verify.ts';

/** A mix-net URL, read: `<controller>/panoramix/peers/ID/` (D4.2 §5.2). */
export interface MixnetUrl {
  readonly controllerUrl: string;
  readonly mixnetId: string;
}

/** Reads a mix-net URL, with or without its last slash; null for anything else. */
export function readMixnetUrl(text: string): MixnetUrl | null {
  const match = /^(https?:\/\/[^?#\s]+?\/)panoramix\/peers\/([0-9a-f]{64})\/?$/.exec(text.trim());
  if (!match) return null;
  const [, controllerUrl = '', mixnetId = ''] = match;
  return URL.canParse(controllerUrl) ? { controllerUrl, mixnetId } : null;
}

/**
 * Reads about one peer, checked. All methods throw PanoramixError: the controller's reason, or
 * `controller-lies` with the reason (`LieReason`) in its message.
 */
export class CarefulClient {
  readonly #client: ControllerClient;
  readonly #primitives: Primitives;
  readonly #peerId: string;
  /** What is verified never changes: a record is its hash. */
  readonly #records = new Map<string, NegotiationData>();

  constructor(client: ControllerClient, primitives: Primitives, peerId: string) {
    this.#client = client;
    this.#primitives = primitives;
    this.#peerId = peerId;
  }

  /** The peer, its owners and their rule. */
  async peer(): Promise<VerifiedPeer> {
    const said = await this.#client.getPeer(this.#peerId);
    if (said === null) throw new PanoramixError('peer-unknown', `${this.#client.url} has no such`);
    const records = await this.#read(said.consensus_logs);
    return this.#believe(verifyPeer(this.#primitives, this.#peerId, said, records));
  }

  /** One of its endpoints. */
  async endpoint(endpointId: string): Promise<VerifiedEndpoint> {
    const peer = await this.peer();
    const said = await this.#client.getEndpoint(endpointId);
    if (said === null) throw new PanoramixError('endpoint-unknown', 'the controller has no such');
    const records = await this.#read(said.consensus_logs);
    return this.#believe(verifyEndpoint(this.#primitives, peer, endpointId, said, records));
  }

  /** A whole box, as one who may read it: of a closed cycle exactly what its owners have agreed on. */
  async box(endpointId: string, box: 'ACCEPTED' | 'OUTBOX'): Promise<readonly InboxMessage[]> {
    const { accepted, published } = await this.endpoint(endpointId);
    const named = (box === 'ACCEPTED' ? accepted : published) ?? [];
    const messages: InboxMessage[] = [];
    // A list that never ends, or turns in circles, is longer than what was agreed on.
    while (messages.length <= named.length) {
      const after = messages.at(-1)?.id ?? 0;
      const page = await this.#client.listMessages({ endpointId, box, after });
      if (page.length === 0) break;
      messages.push(...page);
    }
    return this.#believe(verifyBox(this.#primitives, { endpointId, box }, messages, named, true));
  }

  async #read(lines: readonly ConsensusLog[]): Promise<Records> {
    for (const { consensus_id: id } of lines) {
      if (this.#records.has(id)) continue;
      const record = await this.#client.getNegotiation(id);
      if (record !== null) this.#records.set(id, record);
    }
    return this.#records;
  }

  #believe<T>(answer: Told<T>): T {
    if (answer.ok) return answer.value;
    // What does not convince is asked for again another time.
    this.#records.clear();
    throw new PanoramixError('controller-lies', `${this.#client.url}: ${answer.reason}`);
  }
}
