/**
 * The real side of the models: a controller over real Redis and HTTP, asked request by request, with every
 * accepted request kept so that it can be sent again, byte for byte.
 */
import { deepStrictEqual, fail } from 'node:assert/strict';
import { Agent, request } from 'node:http';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { signRead } from '../../../src/api/http-signature.ts';
import { type RequestBody, signRequest, signText } from '../../../src/api/signed.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { ERRORS, type ErrorCode } from '../../../src/errors.ts';
import { type PrivateController, proposalText } from '../private-controller.ts';

/** An answer of the controller. */
export interface Answer {
  readonly status: number;
  /** The problem document's, or null. */
  readonly reason: string | null;
  readonly body: unknown;
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly text: string;
  readonly answer: Answer;
}

/** One sequence's view of the controller. */
export class World {
  readonly bed: PrivateController;
  /** Requests that changed something, or were repeats of such, with their first answers. */
  readonly sent: Sent[] = [];

  constructor(bed: PrivateController) {
    this.bed = bed;
  }

  /** A consensus of these on `data` and `info`; its id. */
  async agree(
    parties: readonly Identity[],
    body: { readonly data: unknown; readonly info: unknown },
  ): Promise<string> {
    const [first] = parties as [Identity];
    const create = { data: {}, info: { resource: 'negotiation', operation: 'create' } };
    const { id } = dataOf(await this.#post('negotiations', first, create)) as { id: string };
    const signers = parties.map((party) => party.peerId).toSorted();
    const text = proposalText(id, body, { accept: true, signers });
    const info = { resource: 'contribution', operation: 'create' };
    for (const party of parties) {
      const signature = signText(native, party, text);
      await this.#post('contributions', party, {
        data: { negotiation_id: id, text, signature },
        info,
      });
    }
    const done = dataOf(await this.read(first, `negotiations/${id}`)) as { consensus: string };
    return done.consensus;
  }

  async #post(path: string, identity: Identity, body: RequestBody): Promise<Answer> {
    const answer = await this.#send('POST', path, this.#sign(identity, body));
    return answer.status === 201 ? answer : fail(`${path}: ${answer.reason}`);
  }

  #sign(identity: Identity, body: RequestBody): string {
    const context = { nowMs: this.bed.now(), catalogUrl: this.bed.url };
    return JSON.stringify(signRequest(native, identity, body, context));
  }

  /** Signs and sends. */
  async ask(
    method: 'POST' | 'PATCH',
    path: string,
    identity: Identity,
    body: RequestBody,
  ): Promise<Answer> {
    const text = this.#sign(identity, body);
    const answer = await this.#send(method, path, text);
    // Of a list some may be refused now and taken later: that is no repeat.
    if (answer.status < 300 && !Array.isArray(answer.body)) {
      this.sent.push({ method, path, text, answer });
    }
    return answer;
  }

  /** Sends an accepted request once more; the first answer and the one to the repeat. */
  async again(index: number): Promise<{ readonly sent: Sent; readonly now: Answer }> {
    const sent = this.sent[index % this.sent.length] ?? fail('nothing was sent');
    return { sent, now: await this.#send(sent.method, sent.path, sent.text) };
  }

  /** A signed request without a body. */
  async read(
    identity: Identity,
    path: string,
    query: Readonly<Record<string, string>> = {},
    method: 'GET' | 'DELETE' = 'GET',
  ): Promise<Answer> {
    const url = new URL(`panoramix/${path}`, this.bed.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const target = { method, path: url.pathname, query: url.search || '?' };
    const context = { nowMs: this.bed.now(), catalogUrl: this.bed.url };
    const { signatureInput, signature } = signRead(native, identity, target, context);
    return await exchange(url, method, { 'signature-input': signatureInput, signature });
  }

  async #send(method: string, path: string, body: string): Promise<Answer> {
    return await exchange(new URL(`panoramix/${path}`, this.bed.url), method, {}, body);
  }
}

const agent = new Agent({ keepAlive: true });

/** One exchange, by node:http: sequences make tens of thousands, and fetch takes twice the time. */
async function exchange(
  url: URL,
  method: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const sending = request(url, { method, headers, agent }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.once('error', reject);
      answer.once('end', () => {
        const text = Buffer.concat(parts).toString();
        const said: unknown = text === '' ? null : JSON.parse(text);
        const { reason = null } = (said ?? {}) as { reason?: string | null };
        resolve({ status: answer.statusCode ?? 0, reason, body: said });
      });
    });
    sending.once('error', (error) => {
      // The server may end an idle connection at the moment of its next use; a repeat is harmless.
      if (sending.reusedSocket) resolve(exchange(url, method, headers, body));
      else reject(error);
    });
    sending.end(body);
  });
}

/** Rules that a request breaks, as the model sees it: none, and it must be taken. */
export type Broken = ReadonlySet<ErrorCode>;

/** The reasons whose conditions hold. */
export function broken(rules: Readonly<Partial<Record<ErrorCode, boolean>>>): Broken {
  return new Set(Object.entries(rules).flatMap(([name, is]) => (is ? [name as ErrorCode] : [])));
}

/** How often each kind of request was answered how: what a model never reaches, it says nothing about. */
const tally = new Map<string, number>();

/** A request that breaks no rule is taken; any other refused, by the name and status of one that it breaks. */
export function expectAnswer(answer: Answer, rules: Broken, what: string): boolean {
  const outcome = `${what}: ${answer.reason ?? 'taken'}`;
  tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
  if (rules.size === 0) {
    if (answer.status < 300) return true;
    return fail(`${what}: refused as ${answer.reason}, and breaks no rule`);
  }
  const names = [...rules].join(', ');
  if (answer.reason === null || !rules.has(answer.reason as ErrorCode)) {
    fail(`${what}: answered ${answer.status} ${answer.reason}, and breaks ${names}`);
  }
  deepStrictEqual(answer.status, ERRORS[answer.reason as ErrorCode].http, what);
  return false;
}

/** One step of a sequence; `what` says it in a counterexample. */
export function step<Model extends object, Real>(
  what: string,
  run: (model: Model, real: Real) => Promise<void>,
): fc.AsyncCommand<Model, Real> {
  return { check: () => true, run, toString: () => what };
}

/** How long the sequences of one file go on. */
const SECONDS = Number(process.env['MODEL_SECONDS'] ?? 18);
/** And how many there are at least, on a machine that is busy. */
const SEQUENCES_MIN = 150;
/** Sequences at once: Redis writes to disk for all of them together. */
const STREAMS = 4;
/** Sequences between two looks at the clock. */
const ROUND = 10;
const SHRINK_MS_MAX = 60_000;

/**
 * Runs random sequences against one controller until the time is over.
 * @param reaches outcomes (`what: reason`, `what: taken`) that must have come up, or the model is worth nothing
 */
export async function runSequences<Model extends object, Real>(
  t: ExecutionContext,
  steps: readonly fc.Arbitrary<fc.AsyncCommand<Model, Real>>[],
  setUp: () => Promise<{ readonly model: Model; readonly real: Real }>,
  finish: (model: Model, real: Real) => Promise<void>,
  reaches: readonly string[],
): Promise<void> {
  const ran = { sequences: 0, steps: 0 };
  const property = fc.asyncProperty(
    fc.commands([...steps], { maxCommands: 30, size: 'max' }),
    async (commands) => {
      const { model, real } = await setUp();
      await fc.asyncModelRun(() => ({ model, real }), commands);
      await finish(model, real);
      ran.sequences++;
      ran.steps += [...commands].length;
    },
  );
  const first = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31);
  const endMs = performance.now() + SECONDS * 1000;
  let seed = first;
  const stream = async (): Promise<void> => {
    while (performance.now() < endMs || ran.sequences < SEQUENCES_MIN) {
      // With its cause in the message, which names seed and shortest sequence.
      await fc.assert(property, {
        seed: seed++,
        numRuns: ROUND,
        includeErrorInReport: true,
        // Shrinking a failure stops here, at the shortest sequence so far.
        interruptAfterTimeLimit: SHRINK_MS_MAX,
      });
    }
  };
  await Promise.all(Array.from({ length: STREAMS }, stream));
  t.log(`${ran.sequences} sequences, ${ran.steps} steps, seeds ${first} to ${seed - 1}`);
  for (const [outcome, count] of [...tally].toSorted(byName)) t.log(`${count} × ${outcome}`);
  t.deepEqual(
    reaches.filter((outcome) => !tally.has(outcome)),
    [],
    'each of these came up',
  );
}

function byName([left]: readonly [string, number], [right]: readonly [string, number]): number {
  return left < right ? -1 : 1;
}

/** `data` of an answer. */
export function dataOf(answer: { readonly body: unknown }): unknown {
  return (answer.body as { data: unknown }).data;
}
