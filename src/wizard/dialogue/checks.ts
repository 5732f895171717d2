/**
 * What a wizard can find out before an operator meets it in the log: whether a controller answers and tells
 * the same time, whether an address is free, a folder writable, redis-server installed, our URL reachable.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { createServer as createPlainServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { z } from 'zod';
import { tlsTroubleOf } from '../../client/tls-reasons.ts';
import { formatDuration } from '../../terminal.ts';

const ANSWER_MS_MAX = 5_000;
/** A controller refuses requests that are five minutes off (design §7); half of it is reason to look. */
const CLOCK_OFF_MS_WARN = 30_000;
const CLOCK_OFF_MS_MAX = 300_000;

const health = z.object({
  status: z.literal('ok'),
  // What it says otherwise is its own affair: nothing is proposed then.
  proposal: z
    .object({
      purpose: z.enum(['mail', 'batch']),
      group: z.enum(['X25519', 'P-224']),
      header_len: z.int(),
      body_len: z.int(),
    })
    .nullish()
    .catch(null),
});
type ControllerProposal = NonNullable<z.output<typeof health>['proposal']>;

/** What came of a check: null where all is well; `warning` does not stop anybody. */
export type Finding =
  | {
      readonly problem: string;
      /** Of a certificate that would be believed if its authority were. */
      readonly isUntrusted?: true;
    }
  | { readonly warning: string }
  | null;

/** A controller as it answers. */
export interface ControllerFinding {
  readonly finding: Finding;
  /** What its operator proposes to who creates a mixnet there. */
  readonly proposal: ControllerProposal | null;
}

/** Whether a controller answers at a URL, and by which clock. */
export async function checkController(url: string): Promise<ControllerFinding> {
  const sentMs = Date.now();
  let answer: Response;
  try {
    answer = await fetch(`${url}panoramix/health`, {
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
  } catch (error) {
    const trouble = tlsTroubleOf(error);
    if (trouble === null) return bad(`no controller answers at ${url}: ${causeOf(error)}`);
    const isUntrusted = trouble.reason === 'tls-untrusted';
    return bad(`${trouble.reason}: the controller at ${url}: ${trouble.remedy}`, isUntrusted);
  }
  const parsed = health.safeParse(await answer.json().catch(() => null));
  if (!answer.ok || !parsed.success) {
    return bad(`${url} answers, but not as a controller in good health (${answer.status})`);
  }
  const theirsMs = Date.parse(answer.headers.get('date') ?? '');
  // The header has whole seconds: half of one more is its middle.
  const offMs = theirsMs + 500 - (sentMs + Date.now()) / 2;
  const off = `the clock of ${url} is ${formatDuration(Math.abs(offMs))} ${offMs > 0 ? 'ahead of' : 'behind'} ours`;
  if (Math.abs(offMs) > CLOCK_OFF_MS_MAX) {
    return bad(`${off}: it would refuse what we sign; set the clock that is wrong`);
  }
  const finding = Math.abs(offMs) > CLOCK_OFF_MS_WARN ? { warning: off } : null;
  return { finding, proposal: parsed.data.proposal ?? null };
}

function bad(problem: string, isUntrusted = false): ControllerFinding {
  return { finding: { problem, ...(isUntrusted && { isUntrusted }) }, proposal: null };
}

/** Whether a folder is there, or can be made, and written to. */
export function checkFolder(path: string): Finding {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return { problem: `${path} cannot be written to: ${causeOf(error)}` };
  }
}

/** Whether there is a redis-server to start. */
export function checkRedis(): Finding {
  const { status, error } = spawnSync('redis-server', ['--version'], { stdio: 'ignore' });
  if (status === 0) return null;
  return {
    problem: `redis-server is not found (${error ? causeOf(error) : `it ends with ${status}`}): install it, or set redis.url`,
  };
}

/** Where a server shall listen, and how. */
export interface Door {
  readonly host: string;
  readonly port: number;
  /** PEM files; null where something else ends TLS, or nothing does. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
}

/**
 * Whether an address is free and our URL leads to it: for a moment something of ours listens there and is asked
 * for a number that nobody else knows.
 */
export async function checkDoor(door: Door, url: string): Promise<Finding> {
  const secret = randomBytes(16).toString('hex');
  let server: Server;
  try {
    server = await listen(door, secret);
  } catch (error) {
    return { problem: `${door.host}:${door.port} cannot be listened on: ${causeOf(error)}` };
  }
  try {
    const answer = await fetch(`${url}panoramix/health`, {
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    if ((await answer.text()) === secret) return null;
    return { warning: `${url} leads to another server than ${door.host}:${door.port}` };
  } catch (error) {
    const why = tlsTroubleOf(error)?.remedy ?? causeOf(error);
    return { warning: `${url} is not reached from this host: ${why}` };
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

async function listen(door: Door, secret: string): Promise<Server> {
  const { tls } = door;
  const server: Server = tls
    ? createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) })
    : createPlainServer();
  server.on('request', (_request, answer) => answer.end(secret));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(door.port, door.host, resolve);
  });
  return server;
}

/** The innermost reason in one line: `fetch failed` says nothing. */
function causeOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  const { code } = inner as NodeJS.ErrnoException;
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'TLS is not spoken there: is its URL http?';
  return inner.message || code || inner.name;
}
