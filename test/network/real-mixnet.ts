/**
 * A mixnet of real processes for tests: the demo's, in a temporary folder, with receivers of the test's
 * own where no Postfix stands behind the gateways. Everything ends with the test, failed or not.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SMTPServer } from 'smtp-server';
import { Submitter, type RecipientResult } from '../../filters/submit.ts';
import { Arrivals, type Arrival } from '../../src/cli/demo/arrivals.ts';
import type { DemoOptions, Provider } from '../../src/cli/demo/layout.ts';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { startReceiver } from '../../src/cli/demo/receiver.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';

/** What a test hands to a gateway, as its Postfix would. */
export interface TestMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly data: Uint8Array;
  readonly smtputf8?: boolean;
  readonly queueId: string;
}

export interface RealMixnet {
  readonly folder: string;
  readonly mixnet: DemoMixnet;
  /** Mails that came since the last call, out of the exits. */
  arrived(): Arrival[];
  /** Mails that came since the last call, unmixed. */
  passed(): Arrival[];
  /** One transaction with a gateway's SMTP door. */
  send(gateway: string, mail: TestMail): Promise<readonly RecipientResult[]>;
  /** The same until it is accepted, as Postfix does it; throws for a refusal. */
  submit(gateway: string, mail: TestMail, patienceMs?: number): Promise<void>;
  /** Process id of the redis-server of a program: `alpha`, or `alpha.controller`. */
  redisPid(program: string): Promise<number>;
  stop(): Promise<void>;
}

export type RealOptions = Partial<Omit<DemoOptions, 'folder' | 'providers'>> & {
  /** How far the clocks of these peers' machines are ahead, in ms (shifted-clock.ts must be preloaded). */
  readonly clocksMs?: Readonly<Record<string, number>>;
  /** Told the folder of everything before anything is in it: for who gives some of it a disk of its own. */
  readonly prepare?: (folder: string) => Promise<void>;
};

/** alpha.example and beta.example with receivers, three mixes; fast delays. */
export async function startRealMixnet({
  clocksMs = {},
  prepare,
  ...options
}: RealOptions = {}): Promise<RealMixnet> {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-network-'));
  for (const [name, aheadMs] of Object.entries(clocksMs)) {
    mkdirSync(join(folder, name), { mode: 0o700 });
    writeFileSync(join(folder, name, 'clock'), String(aheadMs));
  }
  await prepare?.(folder);
  const ports = await freePorts(4);
  const boxes = ['alpha', 'alpha-passed', 'beta', 'beta-passed'].map((name) =>
    join(folder, 'mail', name),
  );
  const receivers: SMTPServer[] = await Promise.all(
    boxes.map((box, i) => startReceiver(ports[i] as number, box)),
  );
  const providers: Provider[] = ['alpha', 'beta'].map((name, i) => ({
    name,
    domains: [`${name}.example`],
    deliverPort: ports[2 * i] as number,
    reinjectPort: ports[2 * i + 1] as number,
  }));
  const closeReceivers = async (): Promise<void> => {
    await Promise.all(
      receivers.map((receiver) => new Promise<void>((done) => receiver.close(() => done()))),
    );
  };
  const mixnet = await DemoMixnet.start(
    { ...FAST, ...options, folder, providers },
    () => undefined,
  ).catch(async (error: unknown) => {
    await closeReceivers();
    throw error;
  });
  const [alpha, alphaPassed, beta, betaPassed] = boxes.map((box) => new Arrivals(box));
  const submitters = new Map(
    providers.map(({ name }) => [
      name,
      new Submitter({
        server: { host: '127.0.0.1', port: mixnet.gateway(name).smtpPort },
        hostname: `postfix.${name}.example`,
      }),
    ]),
  );
  const send: RealMixnet['send'] = async (gateway, mail) =>
    (await submitters.get(gateway)?.send({
      sender: mail.from,
      recipients: mail.to.map((address) => ({ address })),
      body: '8BITMIME',
      smtputf8: mail.smtputf8 ?? false,
      queueId: mail.queueId,
      data: mail.data,
    })) ?? [];
  return {
    folder,
    mixnet,
    arrived: () => [...(alpha?.take() ?? []), ...(beta?.take() ?? [])],
    passed: () => [...(alphaPassed?.take() ?? []), ...(betaPassed?.take() ?? [])],
    send,
    submit: async (gateway, mail, patienceMs = 60_000) => {
      for (const endMs = Date.now() + patienceMs; ;) {
        const results = await send(gateway, mail);
        if (results.every(({ outcome }) => outcome === 'accepted')) return;
        const said = JSON.stringify(results.map(({ reply }) => reply));
        if (results.some(({ outcome }) => outcome === 'refused') || Date.now() > endMs) {
          throw new Error(`${gateway} answers ${said}`);
        }
        await sleep(200);
      }
    },
    redisPid: async (program) => {
      const [name, controller] = program.split('.');
      const peer = mixnet.peers.find((each) => each.name === name);
      if (!peer) throw new Error(`no peer is called ${name}`);
      const dataDir = controller ? peer.controllerDataDir : peer.nodeDataDir;
      const store = await connectStore({ dataDir, log: silentLog, name: 'test' });
      try {
        return Number(/process_id:(\d+)/.exec(await store.redis.info('server'))?.[1]);
      } finally {
        await store.close();
      }
    },
    stop: async () => {
      await Promise.all([...submitters.values()].map((submitter) => submitter.close()));
      await mixnet.stop();
      await closeReceivers();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until something holds; throws with what it was. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs: number,
): Promise<void> {
  for (const endMs = Date.now() + patienceMs; !(await holds()); await sleep(100)) {
    if (Date.now() > endMs) throw new Error(`${what}: not within ${patienceMs} ms`);
  }
}

const FAST = { mixes: 3, delayMeanMs: 50, exitDelayMeanMs: 50, ticksPerSecond: 10 } as const;
