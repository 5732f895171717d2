/**
 * What is left to be posted to recipients' own endpoints (D4.2 §6.1: "an external posting mechanism"). It is
 * stored before the next cycle opens, since the OUTBOX goes then, and waits where a recipient's endpoint
 * is between two cycles: so no mixnet waits for another.
 */
import { BATCH_SIZE_MAX, BATCH_TYPES, type EndpointData } from '../../api/endpoint.ts';
import { fromUtf8, toUtf8 } from '../../bytes.ts';
import { readBox } from '../../client/batch-read.ts';
import type { ControllerClient, InboxMessage } from '../../client/controller.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { asPanoramixError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { guarded } from '../../redis/clients.ts';
import type { Store } from '../../redis/embedded.ts';
import type { Sealing } from '../../redis/sealing.ts';
import type { Cycle } from './cycle.ts';

/** A recipient whose endpoint takes nothing for so long gets nothing more of this cycle. */
const EXPIRY_MS = 7 * 86_400_000;
/**
 * Messages that wait, of all recipients: two whole batches, 340 MB of the largest. Whom a message is for is
 * its sender's choice, so anybody could have what never leaves collect here for a week.
 */
const WAITING_MAX = 2 * BATCH_SIZE_MAX;
/** Looked at together. */
const GROUP_MAX = 64;

/** A message for somebody's endpoint. */
export interface Forward {
  readonly recipient: string;
  /** Of the recipient; where it is not given, whichever is open. */
  readonly endpointId?: string;
  readonly text: string;
  /** 32 hex digits: the repeats of one message have one. */
  readonly serial: string;
  readonly sinceMs: number;
}

/** A message of an OUTBOX on its way: its serial follows from its hash, so that repeats are harmless. */
export function forwardOf(message: InboxMessage, sinceMs: number): Forward {
  const { recipient, text, messageHash } = message;
  return { recipient, text, serial: messageHash.slice(0, 32), sinceMs };
}

/** What forwarding works with. */
export interface ForwardsOptions {
  readonly store: Pick<Store, 'redis' | 'prefix'>;
  /** Under the node's own storage key. */
  readonly sealing: Sealing;
  readonly client: ControllerClient;
  readonly primitives: Primitives;
  readonly log: Log;
  /** Default `WAITING_MAX`. */
  readonly waitingMax?: number;
}

/** Messages that wait for their recipients' endpoints. */
export class Forwards {
  readonly #store: Pick<Store, 'redis' | 'prefix'>;
  readonly #sealing: Sealing;
  readonly #client: ControllerClient;
  readonly #primitives: Primitives;
  readonly #log: Log;
  readonly #waitingMax: number;

  constructor(options: ForwardsOptions) {
    this.#store = options.store;
    this.#sealing = options.sealing;
    this.#client = options.client;
    this.#primitives = options.primitives;
    this.#log = options.log;
    this.#waitingMax = options.waitingMax ?? WAITING_MAX;
  }

  /**
   * Stores what a published cycle has for recipients who have an endpoint; the others fetch it. Only the
   * owner of the last link forwards: from two, a message would come twice.
   */
  async addFrom(cycle: Cycle, nowMs: number): Promise<void> {
    if (cycle.own.next !== null) return;
    const { gatewayId, mixnetId, gateway } = cycle;
    const { published } = await gateway.endpoint(gatewayId);
    const query = { endpointId: gatewayId, box: 'OUTBOX' } as const;
    const outbox = await readBox(this.#client, this.#primitives, query, published ?? []);
    await this.addMessages(
      outbox.filter(({ recipient }) => recipient !== mixnetId),
      nowMs,
    );
  }

  /** Stores those messages of an OUTBOX whose recipients have an endpoint here. */
  async addMessages(outbox: readonly InboxMessage[], nowMs: number): Promise<void> {
    const reachable = new Set<string>();
    for (const recipient of new Set(outbox.map((message) => message.recipient))) {
      const endpoints = await this.#client.listEndpoints({ peer_id: recipient });
      if (endpoints.some((endpoint) => takesForwards(endpoint))) reachable.add(recipient);
    }
    const known = outbox.filter(({ recipient }) => reachable.has(recipient));
    await this.add(known.map((message) => forwardOf(message, nowMs)));
  }

  /**
   * Stores messages durably; the same serial again changes nothing. Where too many wait, those go that have
   * waited longest: what can be posted at all is posted within seconds.
   */
  async add(forwards: readonly Forward[]): Promise<void> {
    const { redis } = this.#store;
    for (let from = 0; from < forwards.length; from += GROUP_MAX) {
      const group = forwards.slice(from, from + GROUP_MAX).map((forward) => {
        return { forward, name: `${forward.serial}/${forward.endpointId ?? ''}` };
      });
      const since = group.flatMap(({ forward, name }) => [String(forward.sinceMs), name]);
      const fields = group.flatMap(({ forward, name }) => {
        return [name, Buffer.from(this.#sealing.seal(fromUtf8(JSON.stringify(forward)), name))];
      });
      await guarded('store messages for recipients', async () => {
        await redis.zadd(this.#sinceKey(), ...since);
        await redis.hset(this.#key(), ...fields);
      });
    }
    await this.#makeRoom();
  }

  async #makeRoom(): Promise<void> {
    const { redis } = this.#store;
    await guarded('make room for messages', async () => {
      const tooMany = (await redis.zcard(this.#sinceKey())) - this.#waitingMax;
      if (tooMany <= 0) return;
      const names = await redis.zrange(this.#sinceKey(), 0, String(tooMany - 1));
      await this.#forget(names);
      this.#log.warn(
        { event: 'forward-ended', reason: 'storage-pressure', messages: names.length },
        'Too many messages wait for endpoints that do not take them; the oldest go',
      );
    });
  }

  async #forget(names: readonly string[]): Promise<void> {
    const { redis } = this.#store;
    await redis.hdel(this.#key(), ...names);
    await redis.zrem(this.#sinceKey(), ...names);
  }

  /** How many wait. */
  async count(): Promise<number> {
    return await guarded('count messages for recipients', () =>
      this.#store.redis.hlen(this.#key()),
    );
  }

  /** Posts what can be posted now, looking at each endpoint until it refuses. @returns whether something still waits */
  async post(nowMs: number): Promise<boolean> {
    const names = await guarded('list messages for recipients', () =>
      this.#store.redis.hkeys(this.#key()),
    );
    const endpoints = new Map<string, string | null>();
    let waiting = 0;
    for (let from = 0; from < names.length; from += GROUP_MAX) {
      for (const name of names.slice(from, from + GROUP_MAX)) {
        const forward = await this.#load(name);
        const done = forward === null || (await this.#postOne(forward, endpoints, nowMs));
        if (done) await guarded('remove a message', () => this.#forget([name]));
        else waiting++;
      }
    }
    return waiting > 0;
  }

  /** Whether a message need not be kept any more. */
  async #postOne(
    forward: Forward,
    endpoints: Map<string, string | null>,
    nowMs: number,
  ): Promise<boolean> {
    const { recipient, text, serial } = forward;
    const place = forward.endpointId ?? recipient;
    if (!endpoints.has(place)) {
      endpoints.set(place, forward.endpointId ?? (await this.#openEndpoint(recipient)));
    }
    const endpointId = endpoints.get(place) ?? null;
    const reason =
      endpointId === null
        ? 'endpoint-closed'
        : await this.#client.postMessage({ endpointId, recipient, text, serial }).then(
            () => null,
            (thrown: unknown) => asPanoramixError(thrown),
          );
    if (reason === null) return true;
    const code = typeof reason === 'string' ? reason : reason.code;
    const mayPass = code === 'endpoint-closed' || (typeof reason !== 'string' && reason.temporary);
    if (mayPass && nowMs < forward.sinceMs + EXPIRY_MS) {
      // One that is full is asked once in a pass, not for each of thousands that wait for it.
      endpoints.set(place, null);
      return false;
    }
    this.#log.warn(
      { event: 'forward-ended', reason: code },
      "A recipient's endpoint does not take its message",
    );
    return true;
  }

  async #openEndpoint(recipient: string): Promise<string | null> {
    const open = await this.#client.listEndpoints({ peer_id: recipient, status: 'OPEN' });
    return open.find((endpoint) => takesForwards(endpoint))?.endpoint_id ?? null;
  }

  async #load(name: string): Promise<Forward | null> {
    const sealed = await guarded('load a message', () =>
      this.#store.redis.hgetBuffer(this.#key(), name),
    );
    const plain = sealed && this.#sealing.unseal(sealed, name);
    return plain && (JSON.parse(toUtf8(plain)) as Forward);
  }

  #key(): string {
    return `${this.#store.prefix}:batch:forwards`;
  }

  /** Names by the time since which they wait. */
  #sinceKey(): string {
    return `${this.#store.prefix}:batch:forwards:since`;
  }
}

/**
 * Not a link of a chain: what its owner has not given it for a cycle nobody ever names, so that messages for
 * that owner would fill it for good.
 */
function takesForwards({ endpoint_type: type, senders }: EndpointData): boolean {
  return !(BATCH_TYPES.includes(type) && senders === 'nodes');
}
