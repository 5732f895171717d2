/**
 * A real mixnet of four gateways and three mixes with a recorder before every controller: processes,
 * Redis, HTTP, SMTP, all as an operator would run them. Mail goes from the first gateway to the second.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Submitter } from '../../filters/submit.ts';
import { Arrivals } from '../../src/cli/demo/arrivals.ts';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { startReceiver } from '../../src/cli/demo/receiver.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { Recorder } from './recorder.ts';

/** Gateways, by the name of their provider; the first sends, the second receives. */
export const GATEWAYS = ['alpha', 'beta', 'gamma', 'delta'] as const;
export const MIXES = ['mix-1', 'mix-2', 'mix-3'] as const;

const LISTEN_FROM = 11_000;
const LISTEN_SPREAD = 3500;

export interface RecordedOptions {
  readonly ticksPerSecond: number;
  readonly delayMeanMs: number;
}

export interface RecordedMixnet {
  readonly recorder: Recorder;
  readonly mixnet: DemoMixnet;
  /** The node of a key; null for keys that are no node's. */
  nameOf(key: string): string | null;
  /** Hands a mail of so many bytes to the first gateway, for the second. */
  submit(bytes: number): Promise<void>;
  /** Mails submitted that have not arrived. */
  underWay(): number;
  stop(): Promise<void>;
}

/** Brings it up; about half a minute. */
export async function startRecordedMixnet(options: RecordedOptions): Promise<RecordedMixnet> {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-wire-'));
  const names = [...MIXES, ...GATEWAYS];
  const ports = await freePorts(names.length + 2 * GATEWAYS.length);
  const mailPorts = ports.slice(names.length);
  const listenPorts = await portsBelow(names.length);
  const controllerPorts = names.map((_, i) => ({
    url: ports[i] as number,
    listen: listenPorts[i] as number,
  }));
  const boxes = GATEWAYS.map((name) => join(folder, 'mail', name));
  const recorder = new Recorder();
  const closers: (() => Promise<unknown>)[] = [() => recorder.close()];
  const stop = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const [i, { url, listen }] of controllerPorts.entries()) {
      await recorder.listen(names[i] as string, url, listen);
    }
    for (const [i, box] of boxes.entries()) {
      const receiver = await startReceiver(mailPorts[2 * i] as number, box);
      closers.push(() => new Promise<void>((done) => receiver.close(() => done())));
    }
    const mixnet = await DemoMixnet.start(
      {
        folder,
        mixes: MIXES.length,
        providers: GATEWAYS.map((name, i) => ({
          name,
          domains: [`${name}.example`],
          deliverPort: mailPorts[2 * i] as number,
          reinjectPort: mailPorts[2 * i + 1] as number,
        })),
        exitDelayMeanMs: 50,
        controllerPorts,
        ...options,
      },
      () => undefined,
    );
    closers.push(() => mixnet.stop());
    const submitter = new Submitter({
      server: { host: '127.0.0.1', port: mixnet.gateway(GATEWAYS[0]).smtpPort },
      hostname: `postfix.${GATEWAYS[0]}.example`,
    });
    closers.push(() => submitter.close());
    return { recorder, mixnet, stop, ...mailsOf(submitter, boxes[1] as string), ...keysOf(mixnet) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Free ports below those that `freePorts` draws: controllers listen on theirs only later, and meanwhile
 * the layout draws ports of its own.
 */
async function portsBelow(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = LISTEN_FROM + randomInt(LISTEN_SPREAD); ports.length < count; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) ports.push(port);
  }
  return ports;
}

function keysOf({ peers }: DemoMixnet): Pick<RecordedMixnet, 'nameOf'> {
  const names = new Map(
    peers.map(({ name, nodeDataDir }) => [readOrCreateIdentity(nodeDataDir, native).peerId, name]),
  );
  return { nameOf: (key) => names.get(key) ?? null };
}

function mailsOf(submitter: Submitter, box: string): Pick<RecordedMixnet, 'submit' | 'underWay'> {
  const arrivals = new Arrivals(box);
  let [submitted, arrived] = [0, 0];
  return {
    submit: async (bytes) => {
      const number = ++submitted;
      const head =
        `From: alice@${GATEWAYS[0]}.example\r\nTo: bob@${GATEWAYS[1]}.example\r\n` +
        `Subject: ${number}\r\nX-PANORAMIX-Mixable: yes\r\n\r\n`;
      const line = `${'x'.repeat(74)}\r\n`;
      const [result] = await submitter.send({
        sender: `alice@${GATEWAYS[0]}.example`,
        recipients: [{ address: `bob@${GATEWAYS[1]}.example` }],
        body: '8BITMIME',
        smtputf8: false,
        queueId: `WIRE${number}`,
        data: Buffer.from(head + line.repeat(Math.ceil(bytes / line.length))),
      });
      if (result?.outcome !== 'accepted') throw new Error(`not accepted: ${result?.reply.text}`);
    },
    underWay: () => {
      arrived += arrivals.take().length;
      return submitted - arrived;
    },
  };
}
