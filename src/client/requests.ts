/**
 * Requests to one controller, signed by one peer: in the body where there is one (design §7), else by
 * HTTP Message Signatures (RFC 9421).
 */
import type { z } from 'zod';
import { requireSecureUrl } from '../api/controller-url.ts';
import { signRead } from '../api/http-signature.ts';
import { catalogUrlOf, type RequestBody, signRequest } from '../api/signed.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { type ErrorCode, PanoramixError } from '../errors.ts';
import { Clocks, differenceText, isOff } from './clocks.ts';
import { exchange, type Exchange, type Travel } from './http.ts';

const TIMEOUT_MS_DEFAULT = 15_000;

/** What a client needs to know. */
export interface ControllerClientOptions {
  /** `https://mix.example.org`, with or without `/panoramix`; http where it is this host alone. */
  readonly url: string;
  /** Where requests travel, where that differs from the controller's catalog URL (a tunnel, a test). */
  readonly address?: string;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly now?: () => number;
  /** Notes what each answer says of its controller's clock; one for all controllers that a program asks. */
  readonly clocks?: Clocks;
  /** For one exchange; a long poll has its `waitMs` on top. Default 15 s. */
  readonly timeoutMs?: number;
  /** Instead of fetch. */
  readonly travel?: Travel;
}

/** Query parameters; those that are undefined are left out. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** Signs and sends. All methods give the JSON of the answer and throw as `exchange` does. */
export class Requests {
  /** The controller's catalog URL, in one spelling. */
  readonly url: string;
  readonly #address: string;
  readonly #identity: Identity;
  readonly #primitives: Primitives;
  readonly #now: () => number;
  readonly #clocks: Clocks;
  readonly #timeoutMs: number;
  readonly #travel: Travel | undefined;

  /** Throws PanoramixError `url-insecure` where requests would cross a network in plain HTTP. */
  constructor(options: ControllerClientOptions) {
    this.url = catalogUrlOf(options.url);
    this.#address = options.address === undefined ? this.url : catalogUrlOf(options.address);
    requireSecureUrl(this.#address);
    this.#identity = options.identity;
    this.#primitives = options.primitives;
    this.#now = options.now ?? Date.now;
    this.#clocks = options.clocks ?? new Clocks({ now: this.#now });
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    this.#travel = options.travel;
  }

  /** With a signed body. */
  async send(
    method: 'POST' | 'PATCH',
    path: string,
    body: RequestBody,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const request = signRequest(this.#primitives, this.#identity, body, this.#context());
    return await this.#exchange({
      url: urlOf(this.#address, path, {}),
      method,
      body: JSON.stringify(request),
      timeoutMs: this.#timeoutMs,
      signal,
    });
  }

  /** What everybody may read. */
  async get(path: string, query: Query = {}): Promise<unknown> {
    const url = urlOf(this.#address, path, query);
    return await this.#exchange({ url, method: 'GET', timeoutMs: this.#timeoutMs });
  }

  /** What owners read and release, signed outside of a body; one may come along that proves itself. */
  async signed(
    method: 'GET' | 'DELETE' | 'POST',
    path: string,
    query: Query = {},
    waiting: { readonly waitMs: number; readonly signal?: AbortSignal | undefined } = { waitMs: 0 },
    body?: string,
  ): Promise<unknown> {
    const named = urlOf(this.url, path, query);
    const target = { method, path: named.pathname, query: named.search || '?' };
    const fields = signRead(this.#primitives, this.#identity, target, this.#context());
    return await this.#exchange({
      url: urlOf(this.#address, path, query),
      method,
      headers: { 'signature-input': fields.signatureInput, signature: fields.signature },
      ...(body !== undefined && { body }),
      timeoutMs: this.#timeoutMs + waiting.waitMs,
      signal: waiting.signal,
    });
  }

  /**
   * As `exchange`, but a request that the controller finds stale, though it is not, is `clock-wrong`: by how
   * much its clock and ours differ stands in the error.
   */
  async #exchange(request: Exchange): Promise<unknown> {
    let aheadMs = 0;
    const heard = (dateMs: number): void => void (aheadMs = this.#clocks.heard(this.url, dateMs));
    try {
      return await exchange({ ...request, heard }, this.#travel);
    } catch (error) {
      const isStale = error instanceof PanoramixError && error.code === 'request-stale';
      if (!isStale || !isOff({ aheadMs })) throw error;
      const difference = `${differenceText(aheadMs)} that of the controller at ${this.url}`;
      throw new PanoramixError('clock-wrong', `the clock of this machine is ${difference}`, error);
    }
  }

  #context(): { readonly nowMs: number; readonly catalogUrl: string } {
    return { nowMs: this.#now(), catalogUrl: this.url };
  }
}

/** An answer in the shape that we expect; `answer-malformed` otherwise. */
export function shapeOf<T extends z.ZodType>(schema: T, answer: unknown): z.output<T> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new PanoramixError('answer-malformed', 'the answer has not the right shape', parsed.error);
}

/** An answer, or null where it is a refusal with this reason. */
export async function orNull(reason: ErrorCode, answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof PanoramixError && error.code === reason) return null;
    throw error;
  }
}

function urlOf(base: string, path: string, query: Query): URL {
  const url = new URL(`${base}panoramix/${path}`);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}
