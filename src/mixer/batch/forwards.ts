/**
 * What is left to be posted to recipients' own endpoints (D4.2 §6.1: "an external posting mechanism"). It is
 * stored before the next cycle opens, since the OUTBOX goes then, and waits where a recipient's endpoint
 * is between two cycles: so no mixnet waits for another.
 */
import { fromUtf8, toUtf8 } from '../../bytes.ts';
import { readBox } from '../../client/batch-read.ts';
import type { ControllerClient } from '../../client/controller.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { asPanoramixError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { guarded } from '../../redis/clients.ts';
import type { Store } from '../../redis/embedded.ts';
import type { Sealing } from '../../redis/sealing.ts';
import type { Cycle } from './cycle.ts';

/** A recipient whose endpoint takes nothing for so long gets nothing more of this cycle. */
const EXPIRY_MS = 7 * 86_400_000;
/** Looked at together. */
const GROUP_MAX = 64;

/** A message for somebody's endpoint. */
export interface Forward {
  readonly recipient: string;
  readonly text: string;
  /** 32 hex digits: the repeats of one message have one. */
  readonly serial: string;
  readonly sinceMs: number;
}

/** What forwarding works with. */
export interface ForwardsOptions {
  readonly store: Pick<Store, 'redis' | 'prefix'>;
  /** Under the node's own storage key. */
  readonly sealing: Sealing;
  readonly client: ControllerClient;
  readonly primitives: Primitives;
  readonly log: Log;
}

/** Messages that wait for their recipients' endpoints. */
export class Forwards {
  readonly #store: Pick<Store, 'redis' | 'prefix'>;
  readonly #sealing: Sealing;
  readonly #client: ControllerClient;
  readonly #primitives: Primitives;
  readonly #log: Log;

  constructor(options: ForwardsOptions) {
    this.#store = options.store;
    this.#sealing = options.sealing;
    this.#client = options.client;
    this.#primitives = options.primitives;
    this.#log = options.log;
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
    const reachable = new Set<string>();
    for (const recipient of new Set(outbox.map((message) => message.recipient))) {
      if (recipient === mixnetId) continue;
      if ((await this.#client.listEndpoints({ peer_id: recipient })).length > 0) {
        reachable.add(recipient);
      }
    }
    const forwards = outbox
      .filter(({ recipient }) => reachable.has(recipient))
      .map(({ recipient, text, messageHash }) => ({
        recipient,
        text,
        serial: messageHash.slice(0, 32),
        sinceMs: nowMs,
      }));
    await this.add(forwards);
  }

  /** Stores messages durably; the same serial again changes nothing. */
  async add(forwards: readonly Forward[]): Promise<void> {
    if (forwards.length === 0) return;
    const fields = forwards.flatMap((forward) => [
      forward.serial,
      Buffer.from(this.#sealing.seal(fromUtf8(JSON.stringify(forward)), forward.serial)),
    ]);
    await guarded('store messages for recipients', async () => {
      await this.#store.redis.hset(this.#key(), ...fields);
    });
  }

  /** How many wait. */
  async count(): Promise<number> {
    return await guarded('count messages for recipients', () =>
      this.#store.redis.hlen(this.#key()),
    );
  }

  /** Posts what can be posted now. @returns whether something still waits */
  async post(nowMs: number): Promise<boolean> {
    const serials = await guarded('list messages for recipients', () =>
      this.#store.redis.hkeys(this.#key()),
    );
    const endpoints = new Map<string, string | null>();
    let waiting = 0;
    for (let from = 0; from < serials.length; from += GROUP_MAX) {
      for (const serial of serials.slice(from, from + GROUP_MAX)) {
        const forward = await this.#load(serial);
        const done = forward === null || (await this.#postOne(forward, endpoints, nowMs));
        if (done)
          await guarded('remove a message', () => this.#store.redis.hdel(this.#key(), serial));
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
    if (!endpoints.has(recipient)) endpoints.set(recipient, await this.#openEndpoint(recipient));
    const endpointId = endpoints.get(recipient) ?? null;
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
    if (mayPass && nowMs < forward.sinceMs + EXPIRY_MS) return false;
    this.#log.warn(
      { event: 'forward-ended', reason: code },
      "A recipient's endpoint does not take its message",
    );
    return true;
  }

  async #openEndpoint(recipient: string): Promise<string | null> {
    const [endpoint] = await this.#client.listEndpoints({ peer_id: recipient, status: 'OPEN' });
    return endpoint?.endpoint_id ?? null;
  }

  async #load(serial: string): Promise<Forward | null> {
    const sealed = await guarded('load a message', () =>
      this.#store.redis.hgetBuffer(this.#key(), serial),
    );
    const plain = sealed && this.#sealing.unseal(sealed, serial);
    return plain && (JSON.parse(toUtf8(plain)) as Forward);
  }

  #key(): string {
    return `${this.#store.prefix}:batch:forwards`;
  }
}
