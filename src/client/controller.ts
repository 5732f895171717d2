/**
 * A controller as its peers see it: the REST contract of D4.2 §6 as methods, signed as design §7 says.
 * Nothing that it answers is believed beyond its shape; records are checked by who needs them
 * (`verifyConsensus`, `verifyNodes`).
 */
import { z } from 'zod';
import {
  acceptedText,
  contributionData,
  type ContributionData,
  parseContributionText,
} from '../api/contribution.ts';
import {
  endpointData,
  type EndpointCreate,
  type EndpointData,
  type EndpointUpdate,
} from '../api/endpoint.ts';
import {
  type Box,
  messageData,
  messageReceipts,
  type MessageCreate,
  POST_LIST_BYTES_MAX,
  POST_LIST_MAX,
} from '../api/message.ts';
import { meetingPlace, type MeetingPlace } from '../api/meeting-place.ts';
import { negotiationData, type NegotiationData } from '../api/negotiation.ts';
import { peerData, singlePeer, type PeerCreate, type PeerData } from '../api/peer.ts';
import { reasonOf } from '../api/problem.ts';
import { type RequestBody, type RequestInfo, signText } from '../api/signed.ts';
import { fromUtf8 } from '../bytes.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { type ControllerClientOptions, orNull, Requests, shapeOf } from './requests.ts';

export type { ControllerClientOptions } from './requests.ts';

/** A message out of a box. */
export interface InboxMessage {
  readonly id: number;
  readonly sender: string;
  readonly recipient: string;
  readonly text: string;
  readonly serial: string;
  readonly messageHash: string;
}

/** By which decision a change is made, and after which one. */
export interface Decision {
  readonly consensusId: string;
  readonly part?: number;
  readonly onLastConsensusId: string;
}

/** Between whom a negotiation is, by which rule (`negotiationCreate`). */
export interface Among {
  readonly signers: readonly string[];
  readonly needed: number;
  readonly required?: readonly string[];
}

/** One controller, seen by one peer. All methods throw PanoramixError with the controller's reason. */
export class ControllerClient {
  readonly #requests: Requests;
  readonly #identity: Identity;
  readonly #primitives: Primitives;
  readonly #now: () => number;

  constructor(options: ControllerClientOptions) {
    this.#requests = new Requests(options);
    this.#identity = options.identity;
    this.#primitives = options.primitives;
    this.#now = options.now ?? Date.now;
  }

  /** The controller's catalog URL, in one spelling. */
  get url(): string {
    return this.#requests.url;
  }

  /** Registers the own key as a peer without owners. Harmless where it is registered already. */
  async registerPeer(name: string): Promise<void> {
    const { peerId } = this.#identity;
    if ((await this.getPeer(peerId)) !== null) return;
    const data = singlePeer(peerId, name);
    const consensus = await this.decideAlone({
      data,
      info: { resource: 'peer', operation: 'create' },
    });
    try {
      await this.createPeer(data, consensus);
    } catch (error) {
      // Another run of ours came first: the peer is the key, whatever its name.
      if (!(error instanceof PanoramixError && error.code === 'peer-exists')) throw error;
    }
  }

  /** Creates a peer that its stakeholders have agreed on (D4.2 §6.3.1). */
  async createPeer(data: PeerCreate, consensusId: string): Promise<PeerData> {
    const info = { resource: 'peer', operation: 'create' };
    const answer = await this.#requests.send('POST', 'peers', { data, info, ...by(consensusId) });
    return shapeOf(wrapped(peerData), answer).data;
  }

  /** Null where there is no such peer. */
  async getPeer(peerId: string): Promise<PeerData | null> {
    const answer = await orNull(
      'peer-unknown',
      this.#requests.get(`peers/${encodeURIComponent(peerId)}`),
    );
    return answer === null ? null : shapeOf(wrapped(peerData), answer).data;
  }

  /** Peers of the controller; a filter compares fields, such as `{ status: 'READY' }`. */
  async listPeers(filter: Readonly<Record<string, string>> = {}): Promise<PeerData[]> {
    return shapeOf(listOf(peerData), await this.#requests.get('peers', filter)).map(
      (item) => item.data,
    );
  }

  /**
   * Adds what the owners of a combined peer have agreed on: `data.log` or `data.snapshot` (peer.ts).
   * The agreed `info` was `{resource: 'peer', operation: 'partial_update', on_last_consensus_id}`.
   */
  async updatePeer(peerId: string, data: unknown, decision: Decision): Promise<PeerData> {
    const body = change('peer', data, decision);
    const answer = await this.#requests.send('PATCH', `peers/${encodeURIComponent(peerId)}`, body);
    return shapeOf(wrapped(peerData), answer).data;
  }

  /**
   * Opens a negotiation; its id is a secret to be shared with those who are to take part.
   * @param among who alone may take part, how many of them end it, and who must be among those (each sorted)
   */
  async createNegotiation(among: Among | null = null): Promise<string> {
    const info = { resource: 'negotiation', operation: 'create' };
    const answer = await this.#requests.send('POST', 'negotiations', { data: among ?? {}, info });
    return shapeOf(wrapped(negotiationData), answer).data.id;
  }

  /** By negotiation id or by consensus id; null where there is none. Check with `verifyConsensus`. */
  async getNegotiation(id: string): Promise<NegotiationData | null> {
    const path = `negotiations/${encodeURIComponent(id)}`;
    const answer = await orNull('negotiation-unknown', this.#requests.get(path));
    return answer === null ? null : shapeOf(wrapped(negotiationData), answer).data;
  }

  /** Signs a text (`contributionText`, `acceptedText`) and puts it into a negotiation. */
  async contribute(negotiationId: string, text: string): Promise<ContributionData> {
    const signature = signText(this.#primitives, this.#identity, text);
    const answer = await this.#requests.send('POST', 'contributions', {
      data: { negotiation_id: negotiationId, text, signature },
      info: { resource: 'contribution', operation: 'create' },
    });
    return shapeOf(wrapped(contributionData), answer).data;
  }

  /** All contributions, oldest first. Once the negotiation has ended only its contributors read them. */
  async listContributions(negotiationId: string): Promise<ContributionData[]> {
    const answer = await this.#requests.signed('GET', 'contributions', {
      negotiation_id: negotiationId,
    });
    return shapeOf(listOf(contributionData), answer).map((item) => item.data);
  }

  /**
   * Records a decision of this peer alone as a consensus (D4.2 §6.2.3, note) and gives its id.
   * `data` and `info` are those of the request that is to follow.
   */
  async decideAlone(body: { readonly data: unknown; readonly info: unknown }): Promise<string> {
    const { peerId } = this.#identity;
    const negotiationId = await this.createNegotiation();
    const proposal = {
      data: body.data,
      info: body.info,
      meta: {
        accept: true,
        signers: [peerId],
        negotiation_id: negotiationId,
        round: 0,
        time: new Date(this.#now()).toISOString(),
      },
    };
    await this.contribute(negotiationId, acceptedText(this.#primitives, proposal, [peerId]));
    const ended = await this.getNegotiation(negotiationId);
    if (ended?.status === 'DONE' && parseContributionText(ended.text) !== null) {
      return ended.consensus;
    }
    throw new PanoramixError('answer-malformed', 'a negotiation of one did not end');
  }

  /** Opens an endpoint that its peer's owners have agreed on (D4.2 §6.4.1). */
  async createEndpoint(data: EndpointCreate, consensusId: string): Promise<EndpointData> {
    const info = { resource: 'endpoint', operation: 'create' };
    const answer = await this.#requests.send('POST', 'endpoints', {
      data,
      info,
      ...by(consensusId),
    });
    return shapeOf(wrapped(endpointData), answer).data;
  }

  /** Changes an endpoint's status (D4.2 §6.4.2). The agreed `info` was as in `updatePeer`. */
  async updateEndpoint(data: EndpointUpdate, decision: Decision): Promise<EndpointData> {
    const body = change('endpoint', data, decision);
    const answer = await this.#requests.send('PATCH', `endpoints/${data.endpoint_id}`, body);
    return shapeOf(wrapped(endpointData), answer).data;
  }

  /** Null where there is no such endpoint. Its owners also see hash and last id while it is open. */
  async getEndpoint(endpointId: string): Promise<EndpointData | null> {
    const path = `endpoints/${encodeURIComponent(endpointId)}`;
    const answer = await orNull('endpoint-unknown', this.#requests.signed('GET', path));
    return answer === null ? null : shapeOf(wrapped(endpointData), answer).data;
  }

  /** Endpoints of the controller; a filter compares fields, such as `{ peer_id, status: 'OPEN' }`. */
  async listEndpoints(filter: Readonly<Record<string, string>> = {}): Promise<EndpointData[]> {
    return shapeOf(listOf(endpointData), await this.#requests.get('endpoints', filter)).map(
      (item) => item.data,
    );
  }

  /**
   * Posts a message. Returns once it is durable, also when it was posted before.
   * @param message.serial 32 hex digits, random, the same in every repeat
   */
  async postMessage(message: {
    readonly endpointId: string;
    readonly recipient: string;
    readonly text: string;
    readonly serial: string;
    readonly box?: 'INBOX';
    readonly signal?: AbortSignal;
  }): Promise<void> {
    const data = {
      endpoint_id: message.endpointId,
      box: message.box ?? 'INBOX',
      sender: this.#identity.peerId,
      recipient: message.recipient,
      text: message.text,
      serial: message.serial,
    };
    const info = { resource: 'message', operation: 'create' };
    await this.#requests.send('POST', 'messages', { data, info }, message.signal);
  }

  /**
   * Posts messages in lists, in their order; of a PROCESSBOX as one of its owners. Returns once all are
   * durable, also those that were posted before.
   * @throws PanoramixError the reason of the first that is refused; those before it are stored
   */
  async postMessages(messages: readonly MessageCreate[]): Promise<void> {
    const info = { resource: 'message', operation: 'create' };
    for (const data of inRequests(messages)) {
      const answer = await this.#requests.send('POST', 'messages', { data, info });
      const receipts = shapeOf(messageReceipts, answer);
      if (receipts.length !== data.length) {
        throw new PanoramixError('answer-malformed', 'a list is answered for each of its messages');
      }
      for (const receipt of receipts) {
        if (!('problem' in receipt)) continue;
        const reason = reasonOf(receipt.problem);
        throw new PanoramixError(reason ?? 'answer-malformed', 'a message of a list is refused');
      }
    }
  }

  /**
   * Messages of a box in the order of ids, as one of its readers.
   * @param query.recipient only messages for this peer: of an OUTBOX its owner may read these
   * @param query.waitMs long poll: waits so long for the first message; an empty list after it
   */
  async listMessages(query: {
    readonly endpointId: string;
    readonly box: Box;
    readonly recipient?: string;
    readonly after?: number;
    readonly limit?: number;
    readonly waitMs?: number;
    readonly signal?: AbortSignal;
  }): Promise<InboxMessage[]> {
    const { recipient, after, limit, waitMs } = query;
    const parameters = { recipient, after, limit, wait: waitMs };
    const answer = await this.#requests.signed(
      'GET',
      'messages',
      { endpoint_id: query.endpointId, box: query.box, ...parameters },
      { waitMs: query.waitMs ?? 0, signal: query.signal },
    );
    return shapeOf(listOf(messageData), answer).map(({ data }) => ({
      id: data.id,
      sender: data.sender,
      recipient: data.recipient,
      text: data.text,
      serial: data.serial,
      messageHash: data.message_hash,
    }));
  }

  /** Tells the controller that messages up to an id are safe here and need not be kept there. */
  async releaseMessages(query: {
    readonly endpointId: string;
    readonly box: 'INBOX';
    readonly upTo: number;
  }): Promise<void> {
    const { endpointId, box, upTo } = query;
    const parameters = { endpoint_id: endpointId, box, up_to: upTo };
    await this.#requests.signed('DELETE', 'messages', parameters);
  }

  /** Asks for nothing but the time: its clock is noted (`clocks`), whatever it answers. */
  async askTime(): Promise<void> {
    await this.#requests.get('health');
  }

  /** A mixnet's nodes.json as parsed JSON, unverified. */
  async getNodes(mixnetId: string): Promise<unknown> {
    return await this.#requests.get(`peers/${encodeURIComponent(mixnetId)}/nodes.json`);
  }

  /** Leaves a nodes.json with the controller of one of its nodes, which serves it from then on. */
  async postNodes(mixnetId: string, json: unknown): Promise<void> {
    const path = `peers/${encodeURIComponent(mixnetId)}/nodes.json`;
    await this.#requests.signed('POST', path, {}, { waitMs: 0 }, JSON.stringify(json));
  }

  /** Says, as an owner of a combined peer, in which negotiation one waits for the others. */
  async sayMeeting(
    mixnetId: string,
    place: { readonly negotiation_id: string; readonly number: number },
  ): Promise<void> {
    const data = { peer_id: mixnetId, ...place };
    const info = { resource: 'meeting', operation: 'create' };
    await this.#requests.send('POST', `peers/${mixnetId}/meeting`, { data, info });
  }

  /** Where the owners wait for each other, as each has said last; empty where nobody has. */
  async listMeetings(mixnetId: string): Promise<MeetingPlace[]> {
    const answer = await this.#requests.signed('GET', `peers/${mixnetId}/meeting`);
    return shapeOf(listOf(meetingPlace), answer).map((item) => item.data);
  }
}

function by(consensusId: string, part?: number): Pick<RequestBody, 'by_consensus'> {
  return {
    by_consensus: {
      consensus_id: consensusId,
      consensus_type: 'structural',
      ...(part !== undefined && { consensus_part: part }),
    },
  };
}

function change(resource: string, data: unknown, decision: Decision): RequestBody {
  const info: RequestInfo = {
    resource,
    operation: 'partial_update',
    on_last_consensus_id: decision.onLastConsensusId,
  };
  return { data, info, ...by(decision.consensusId, decision.part) };
}

/** Lists that each fit into one request, in their order. */
function inRequests(messages: readonly MessageCreate[]): MessageCreate[][] {
  const lists: MessageCreate[][] = [];
  let bytes = 0;
  for (const message of messages) {
    // As it travels, since quotes and letters beyond ASCII take more than one byte.
    const own = fromUtf8(JSON.stringify(message)).length + 1;
    const list = lists.at(-1);
    bytes += own;
    if (list !== undefined && list.length < POST_LIST_MAX && bytes <= POST_LIST_BYTES_MAX) {
      list.push(message);
    } else {
      lists.push([message]);
      bytes = own;
    }
  }
  return lists;
}

function wrapped<T extends z.ZodType>(data: T) {
  return z.object({ data });
}

function listOf<T extends z.ZodType>(data: T) {
  return z.array(z.object({ data }));
}
