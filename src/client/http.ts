/**
 * How the client speaks HTTP: fetch alone, so that it runs in a browser; a time limit and a size limit
 * on everything, since a controller may be hostile; problem documents become errors with their reason.
 */
import { parseStrict } from '../api/canonical.ts';
import { reasonOf } from '../api/problem.ts';
import { concat } from '../bytes.ts';
import { PanoramixError } from '../errors.ts';
import { tlsTroubleOf } from './tls-reasons.ts';

/** Longest answer to a GET: all contributions to a negotiation of a large mixnet. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A thousand peers with their logs; reading so many takes half a second. */
const ANSWER_VALUES_MAX = 1_000_000;
/** A refusal, a receipt, a peer: what strangers' controllers answer to each packet shall cost little. */
const SHORT_BYTES_MAX = 1024 * 1024;

/** One exchange. */
export interface Exchange {
  readonly url: URL;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From the request to the end of its answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Nothing of it is signed or secret, and what comes proves itself: redirects are followed. */
  readonly isPublic?: true;
  /** Told what time it is where the answer comes from, ms since 1970, as soon as its head is there. */
  readonly heard?: (dateMs: number) => void;
}

/** What came back, whatever it was. */
export interface Answer {
  readonly status: number;
  /** Null where there were more than `answerBytesMax`. */
  readonly bytes: Uint8Array | null;
}

/**
 * How an exchange travels: `fetch` anywhere, and what a program brings that costs it less. Throws where
 * there is no answer in time, or `signal` aborts; what is not public follows no redirect. Calls `hearDate`.
 */
export type Travel = (request: Exchange) => Promise<Answer>;

/** Tells whoever asked what an answer's `Date` says, where it says anything. */
export function hearDate({ heard }: Exchange, date: string | null | undefined): void {
  const dateMs = Date.parse(date ?? '');
  if (!Number.isNaN(dateMs)) heard?.(dateMs);
}

/** Longest answer that is read. */
export function answerBytesMax({ method }: Pick<Exchange, 'method'>, status: number): number {
  const isLong = method === 'GET' && status >= 200 && status < 300;
  return isLong ? ANSWER_BYTES_MAX : SHORT_BYTES_MAX;
}

/**
 * The JSON of a successful answer; null where it is empty.
 * Throws PanoramixError: the reason of a problem document, `controller-unreachable` where there is no
 * answer in time (also when `signal` aborts), `tls-…` where the controller's certificate is not believed,
 * `answer-malformed` for what no controller of ours says.
 */
export async function exchange(
  request: Exchange,
  travel: Travel = travelByFetch,
): Promise<unknown> {
  const what = `${request.method} ${request.url.pathname}`;
  let answer: Answer;
  try {
    answer = await travel(request);
  } catch (error) {
    const trouble = tlsTroubleOf(error);
    if (trouble === null) {
      throw new PanoramixError('controller-unreachable', `${what}: no answer`, error);
    }
    const { origin } = request.url;
    throw new PanoramixError(trouble.reason, `${what}: ${origin}: ${trouble.remedy}`, error);
  }
  const { status, bytes } = answer;
  if (bytes === null) throw new PanoramixError('answer-malformed', `${what}: answer too long`);
  if (status === 204) return null;
  const json = parseStrict(bytes, request.method === 'GET' ? ANSWER_VALUES_MAX : undefined);
  if (status >= 200 && status < 300) {
    if (json.ok) return json.value;
    throw new PanoramixError('answer-malformed', `${what}: ${json.reason}`);
  }
  const reason = json.ok ? reasonOf(json.value) : null;
  if (reason !== null) throw new PanoramixError(reason, `${what}: ${status}`);
  // A proxy in between, or a controller that fails: like one that does not answer.
  const code = status >= 500 ? 'controller-unreachable' : 'answer-malformed';
  throw new PanoramixError(code, `${what}: status ${status} without a reason`);
}

/** By fetch, which browsers have too. */
export async function travelByFetch(request: Exchange): Promise<Answer> {
  const limit = AbortSignal.timeout(request.timeoutMs);
  const signal = request.signal === undefined ? limit : AbortSignal.any([limit, request.signal]);
  const content = request.body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(request.url, {
    method: request.method,
    signal,
    headers: { ...content, ...request.headers },
    // A redirect would send what is signed for one controller to another.
    redirect: request.isPublic ? 'follow' : 'error',
    credentials: 'omit',
    cache: 'no-store',
    ...(request.body !== undefined && { body: request.body }),
  });
  hearDate(request, answer.headers.get('date'));
  const { status } = answer;
  return { status, bytes: await readLimited(answer, answerBytesMax(request, status)) };
}

/** The whole body, or null where it is longer than we read. */
async function readLimited(answer: Response, bytesMax: number): Promise<Uint8Array | null> {
  if (answer.body === null) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let total = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(...parts);
    total += value.length;
    if (total > bytesMax) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
}
