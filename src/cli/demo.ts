/**
 * `panoramix demo`: a whole mixnet on this machine. It writes configuration files, starts the programs an
 * operator would start, hands mail to one provider's gateway as its Postfix would, and compares what
 * arrives at the other provider with what was sent.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { Submitter } from '../../filters/submit.ts';
import { PanoramixError } from '../errors.ts';
import { formatDuration, Terminal } from '../terminal.ts';
import { Arrivals, Tally } from './demo/arrivals.ts';
import { readMail, sampleMail, type DemoMail } from './demo/mails.ts';
import { DemoMixnet } from './demo/mixnet.ts';
import { freePorts, Program } from './demo/processes.ts';
import { startReceiver } from './demo/receiver.ts';
import { EXIT, runVerb } from './program.ts';

const SENDER = 'alice@alpha.example';
const RECEIVER_DOMAIN = 'beta.example';
const DELAY_MS = 300;
const EXIT_DELAY_MEAN_MS = 500;
/** Packets a second and gateway: 8 hops' work for each, which two cores do with ease. */
const TICKS_PER_SECOND = 10;
/** Packets take at most this long to get through, besides waiting for their tick. */
const PATIENCE_MS = 120_000;
/** What a packet carries of a mail, about: for the patience only. */
const PACKET_BYTES = 30_000;
const SAMPLE_PAUSE_MS = 10_000;
const LOOK_MS = 200;

interface DemoFlags {
  readonly once?: true;
  readonly mail?: readonly string[];
  readonly mixes: number;
  readonly delayMs: number;
  readonly keep?: true;
}

/** The verb, for main.ts. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('runs a whole mixnet on this machine and sends mail through it')
    .option('--once', 'exit when all mail has arrived; last line: delivered X of Y, byte-exact Z')
    .option('--mail <file...>', 'send these files instead of a sample')
    .option('--mixes <n>', 'number of mix nodes', parseCount, 3)
    .option('--delay-ms <n>', 'mean delay at each mix', parseDelay, DELAY_MS)
    .option('--keep', 'keep the folder with configuration, data and logs')
    .action((flags: DemoFlags) => runVerb(() => runDemo(flags)));
}

/** The demo's receiving server as a process of its own; started by the demo. */
export function receiverCommand(): Command {
  return new Command('demo-receiver')
    .argument('<port=folder...>')
    .action(async (places: readonly string[]) => {
      for (const place of places) {
        const [port = '', folder = ''] = place.split(/=(.*)/s);
        await startReceiver(Number(port), folder);
      }
      process.once('SIGTERM', () => process.exit(EXIT.done));
    });
}

async function runDemo(flags: DemoFlags): Promise<number> {
  const terminal = new Terminal();
  const startMs = performance.now();
  const mails = (flags.mail ?? []).map(readMail);
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-demo-'));
  const demo = new Demo(folder, terminal);
  const stopped = new Promise<'stopped'>((resolve) => {
    process.once('SIGINT', () => resolve('stopped'));
    process.once('SIGTERM', () => resolve('stopped'));
  });
  let code: number = EXIT.failed;
  try {
    const run = demo
      .start(flags)
      .then(() => demo.run(mails, flags.once === true))
      .then(() => terminal.line(`took ${formatDuration(performance.now() - startMs)}`));
    await Promise.race([run, stopped]);
    code = demo.tally.complete && demo.tally.exact === demo.tally.sent ? EXIT.done : EXIT.failed;
  } catch (error) {
    terminal.failed(error instanceof Error ? error.message : String(error));
  } finally {
    terminal.progress('stopping …');
    await demo.stop();
  }
  if (flags.keep || code !== EXIT.done) terminal.line(`everything is kept in ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
  const { delivered, sent, exact } = demo.tally;
  terminal.line(`delivered ${delivered} of ${sent}, byte-exact ${exact}`);
  return code;
}

class Demo {
  readonly tally = new Tally();
  readonly #folder: string;
  readonly #terminal: Terminal;
  #mixnet: DemoMixnet | null = null;
  #receiver: Program | null = null;
  #submitter: Submitter | null = null;
  #arrivals: Arrivals[] = [];
  #sent = 0;

  constructor(folder: string, terminal: Terminal) {
    this.#folder = folder;
    this.#terminal = terminal;
  }

  async start(flags: DemoFlags): Promise<void> {
    const ports = await freePorts(4);
    const boxes = ['alpha', 'alpha-passed', 'beta', 'beta-passed'].map((name, i) => ({
      port: ports[i] as number,
      folder: join(this.#folder, 'mail', name),
    }));
    this.#arrivals = boxes.map((box) => new Arrivals(box.folder));
    this.#receiver = new Program(
      'receiver',
      ['demo-receiver', ...boxes.map((box) => `${box.port}=${box.folder}`)],
      join(this.#folder, 'receiver.log'),
    );
    this.#receiver.start();
    const say = (text: string): void => this.#terminal.done(text);
    say('a stand-in for the providers’ mail servers receives SMTP, in a process of its own');
    const mixnet = await DemoMixnet.start(
      {
        folder: this.#folder,
        mixes: flags.mixes,
        providers: ['alpha', 'beta'].map((name, i) => ({
          name,
          domains: [`${name}.example`],
          deliverPort: ports[2 * i] as number,
          reinjectPort: ports[2 * i + 1] as number,
        })),
        delayMeanMs: flags.delayMs,
        exitDelayMeanMs: EXIT_DELAY_MEAN_MS,
        ticksPerSecond: TICKS_PER_SECOND,
      },
      say,
    );
    this.#mixnet = mixnet;
    this.#submitter = new Submitter({
      server: { host: '127.0.0.1', port: mixnet.gateway('alpha').smtpPort },
      hostname: 'postfix.alpha.example',
    });
  }

  /** Sends and waits; without `once`, a sample every few seconds until somebody stops it. */
  async run(files: readonly DemoMail[], once: boolean): Promise<void> {
    const mails = files.length > 0 ? files : [this.#sample()];
    await Promise.all([this.#submitAll(mails), this.#watch(mails, mails.length)]);
    if (once) return;
    this.#terminal.line(
      `the mixnet stays up: send your own mail to port ${this.#mixnet?.gateway('alpha').smtpPort} with the header ` +
        `"X-PANORAMIX-Mixable: yes" to anybody@${RECEIVER_DOMAIN}; it arrives in ${this.#folder}/mail/beta. Ctrl-C ends it.`,
    );
    for (let nextMs = Date.now() + SAMPLE_PAUSE_MS; ; nextMs = Date.now() + SAMPLE_PAUSE_MS) {
      for (; Date.now() < nextMs; await sleep(LOOK_MS)) this.#show();
      const sample = [this.#sample()];
      await Promise.all([this.#submitAll(sample), this.#watch(sample, this.tally.sent + 1)]);
    }
  }

  async stop(): Promise<void> {
    await this.#submitter?.close();
    await this.#mixnet?.stop();
    await this.#receiver?.stop();
  }

  #sample(): DemoMail {
    return sampleMail(this.#sent + 1, SENDER, `bob@${RECEIVER_DOMAIN}`);
  }

  async #submitAll(mails: readonly DemoMail[]): Promise<void> {
    for (const mail of mails) {
      const number = ++this.#sent;
      const recipient = `bob+${number}@${RECEIVER_DOMAIN}`;
      this.tally.expect(recipient, mail.expected);
      await this.#submit(mail, recipient, `DEMO${process.pid}N${number}`);
    }
  }

  /** As Postfix does it: what is deferred is tried again. */
  async #submit(mail: DemoMail, recipient: string, queueId: string): Promise<void> {
    for (const deadline = Date.now() + PATIENCE_MS; ;) {
      const [result] = (await this.#submitter?.send({
        sender: SENDER,
        recipients: [{ address: recipient }],
        body: '8BITMIME',
        smtputf8: false,
        queueId,
        data: mail.submitted,
      })) ?? [undefined];
      if (result?.outcome === 'accepted') return;
      this.#mixnet?.check();
      const said = `${result?.reply.code} ${result?.reply.text}`;
      if (result?.outcome === 'refused' || Date.now() > deadline) {
        throw new PanoramixError('unexpected', `${mail.name}: the gateway answers ${said}`);
      }
      this.#terminal.progress(`the gateway answers ${said}; trying again …`);
      await sleep(500);
    }
  }

  async #watch(mails: readonly DemoMail[], target: number): Promise<void> {
    const packets = mails.reduce((sum, mail) => sum + 1 + mail.expected.length / PACKET_BYTES, 0);
    const patienceMs = PATIENCE_MS + (packets * 3_000) / TICKS_PER_SECOND;
    let deadline = Date.now() + patienceMs;
    while (this.tally.delivered < target) {
      if (this.#show()) deadline = Date.now() + patienceMs;
      this.#mixnet?.check();
      if (Date.now() > deadline) {
        throw new PanoramixError('unexpected', `still missing: ${this.tally.missing.join(', ')}`);
      }
      this.#terminal.progress(`${this.tally.delivered} of ${target} delivered …`);
      await sleep(LOOK_MS);
    }
  }

  /** Shows what has come since the last look; whether a mail of ours was among it. */
  #show(): boolean {
    let ours = false;
    for (const arrival of this.#arrivals.flatMap((arrivals) => arrivals.take())) {
      const noted = this.tally.note(arrival);
      for (const { recipient, exact } of noted) {
        const text = `${recipient}: ${arrival.data.length} bytes, ${exact ? 'byte-exact' : 'CHANGED'}`;
        if (exact) this.#terminal.done(text);
        else this.#terminal.failed(text);
        ours = true;
      }
      if (noted.length > 0) continue;
      this.#terminal.done(`${arrival.recipients.join(', ')}: ${arrival.data.length} bytes, yours`);
    }
    return ours;
  }
}

function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 20) {
    throw new InvalidArgumentError('expected a whole number from 1 to 20');
  }
  return value;
}

function parseDelay(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 3_600_000) {
    throw new InvalidArgumentError('expected milliseconds, 0 to 3600000');
  }
  return value;
}
