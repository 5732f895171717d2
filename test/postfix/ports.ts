/**
 * The loopback ports of a private Postfix and of the filter beside it. They are drawn below the
 * range from which the kernel takes ports for outgoing connections, and drawn at random, so that two
 * test runs at once do not meet.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

export interface PostfixPorts {
  /** Where users submit: mail that opts in goes to the filter. */
  readonly submission: number;
  /** Where other servers deliver, as on port 25. */
  readonly outside: number;
  /** Back from the filter (10036). */
  readonly reinject: number;
  /** Out of the mixnet, for own recipients (10037). */
  readonly exit: number;
  /** Where the filter is expected: LMTP (10034) and SMTP (10035). Nobody listens there yet. */
  readonly lmtp: number;
  readonly smtp: number;
  /** Where bounces go that come back to a return address (10038). */
  readonly returns: number;
}

/** A free port on 127.0.0.1. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    if (await isFree(port)) return port;
  }
}

/** All ports of one instance, chosen before it starts, so that others can be told. */
export async function choosePorts(): Promise<PostfixPorts> {
  return {
    submission: await freePort(),
    outside: await freePort(),
    reinject: await freePort(),
    exit: await freePort(),
    lmtp: await freePort(),
    smtp: await freePort(),
    returns: await freePort(),
  };
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const tried = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false));
  });
  server.listen(port, '127.0.0.1');
  if (!(await tried)) return false;
  server.close();
  await once(server, 'close');
  return true;
}
