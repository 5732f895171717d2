/** A real DNS server for tests: Debian's dnsmasq on a free loopback port, with records of the test's alone. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import type { ExecutionContext } from 'ava';

/** Records without commas; other names below `example` do not exist (NXDOMAIN), elsewhere they are REFUSED. */
export interface LoopbackRecords {
  /** Several texts are several records; a text in parts is one record of several chunks. */
  readonly txt?: Readonly<Record<string, readonly (string | readonly string[])[]>>;
  readonly cname?: Readonly<Record<string, string>>;
  readonly addresses?: Readonly<Record<string, string>>;
}

/** Starts a server that ends with the test; its `IP:PORT`. */
export async function startLoopbackDns(
  t: ExecutionContext,
  records: LoopbackRecords,
): Promise<string> {
  const port = await freeUdpPort();
  const server = spawn(
    'dnsmasq',
    [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--bind-interfaces',
      '--listen-address=127.0.0.1',
      `--port=${port}`,
      '--pid-file=',
      '--user=',
      '--log-facility=-',
      '--local=/example/',
      ...Object.entries(records.txt ?? {}).flatMap(([name, texts]) =>
        texts.map((text) => `--txt-record=${name},${[text].flat().join(',')}`),
      ),
      ...Object.entries(records.cname ?? {}).map(([from, to]) => `--cname=${from},${to}`),
      ...Object.entries(records.addresses ?? {}).map(
        ([name, address]) => `--host-record=${name},${address}`,
      ),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  t.teardown(async () => {
    if (server.exitCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: server.stderr })) {
    lines.push(line);
    if (/started, version/.test(line)) return `127.0.0.1:${port}`;
  }
  throw new Error(`dnsmasq has not started: ${lines.join('\n')}`);
}

/** A port on which a server listens that never answers. */
export async function startSilentDns(t: ExecutionContext): Promise<string> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => void socket.close(resolve));
  return port;
}
