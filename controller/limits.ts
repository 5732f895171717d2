/**
 * How fast the controller may be asked: per source address, per key and per endpoint, each a bucket that
 * fills steadily and empties by use. They keep one peer from taking the processor from all others; what
 * is stored is bounded elsewhere. In memory, so a restart gives everybody a full bucket.
 */

/** So many a second for long, and so many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly atOnce: number;
}

/** What `createController` is told. */
export interface Limits {
  /** Requests of one source address; of IPv6 the first 64 bits, which one customer is given. */
  readonly address: Rate;
  /** Requests to change something, messages each, of one key that is no node's. */
  readonly key: Rate;
  /** Messages for one endpoint from all who are neither nodes nor its owners. */
  readonly endpoint: Rate;
  /** Addresses of proxies in front, whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
}

/**
 * A node that relays 100 packets a second asks as often, and polls; a request takes the processor about
 * 1 ms, so that one address takes a third of it at most. A key's burst is an agent that hands over
 * what it has collected, an endpoint's a whole batch that arrives at once.
 */
export const LIMITS: Limits = {
  address: { perSecond: 300, atOnce: 3_000 },
  key: { perSecond: 50, atOnce: 1_000 },
  endpoint: { perSecond: 200, atOnce: 4_096 },
  trustedProxies: [],
};

/** Names that are remembered; the one that was longest not used is forgotten, and its bucket is full. */
const NAMES_MAX = 65_536;

/** Buckets of one kind, by name. */
export class Buckets {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #left = new Map<string, { readonly count: number; readonly atMs: number }>();

  /** @param nowMs a clock that never goes back */
  constructor(rate: Rate, nowMs: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  /** Takes one out of a bucket; false where it is empty. */
  take(name: string): boolean {
    const nowMs = this.#nowMs();
    const { perSecond, atOnce } = this.#rate;
    const before = this.#left.get(name) ?? { count: atOnce, atMs: nowMs };
    const count = Math.min(atOnce, before.count + ((nowMs - before.atMs) / 1000) * perSecond);
    // Taken out and put in again: the map's order is that of use.
    this.#left.delete(name);
    this.#left.set(name, { count: count >= 1 ? count - 1 : count, atMs: nowMs });
    const [oldest] = this.#left.keys();
    if (this.#left.size > NAMES_MAX && oldest !== undefined) this.#left.delete(oldest);
    return count >= 1;
  }
}

/** The buckets of a controller. */
export class Throttle {
  readonly #address: Buckets;
  readonly #key: Buckets;
  readonly #endpoint: Buckets;

  constructor(limits: Limits) {
    this.#address = new Buckets(limits.address);
    this.#key = new Buckets(limits.key);
    this.#endpoint = new Buckets(limits.endpoint);
  }

  /** One more request of an address. */
  allowsAddress(address: string): boolean {
    return this.#address.take(address);
  }

  /** One more change by a key that is no node's. */
  allowsKey(keyData: string): boolean {
    return this.#key.take(keyData);
  }

  /** One more message of a stranger for an endpoint. */
  allowsEndpoint(endpointId: string): boolean {
    return this.#endpoint.take(endpointId);
  }
}
