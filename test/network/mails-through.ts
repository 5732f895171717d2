/** Mails through a mixnet of real processes that has a bad day: what was accepted, what came, who is well. */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import { readStatus, type Status } from '../../src/cli/status.ts';
import { readConfig, type Config } from '../../src/config.ts';
import { until, type RealMixnet } from './real-mixnet.ts';

const PATIENCE_MS = 120_000;

export class MailsThrough {
  readonly #real: RealMixnet;
  #tally = new Tally();
  #mails = 0;

  constructor(real: RealMixnet) {
    this.#real = real;
  }

  /** How many came twice. */
  get twice(): number {
    return this.#tally.twice;
  }

  /** Begins a new count with so many mails each way between alpha and beta. */
  async begin(mails: number): Promise<void> {
    this.#tally = new Tally();
    for (let i = 0; i < mails; i++) {
      await Promise.all([this.send('alpha', 'beta'), this.send('beta', 'alpha')]);
    }
  }

  /** Gives one mail to a gateway until it is accepted. */
  async send(from: string, to: string): Promise<void> {
    const sent = this.#mail(from, to);
    const [recipient = ''] = sent.to;
    this.#tally.expect(recipient, sent.data.subarray(sent.data.indexOf('Subject')));
    await this.#real.submit(from, sent, PATIENCE_MS);
  }

  /** What a gateway says to a mail that it cannot keep. */
  async refusal(gateway: string): Promise<string> {
    const [result] = await this.#real.send(gateway, this.#mail(gateway, 'beta'));
    return `${result?.reply.code} ${result?.reply.text}`;
  }

  /** All that was accepted arrives, byte for byte, and all programs are well by their own word. */
  async arrive(t: ExecutionContext): Promise<void> {
    const real = this.#real;
    await until(
      'all that was accepted arrives',
      () => {
        real.mixnet.check();
        for (const arrival of real.arrived()) this.#tally.note(arrival);
        return this.#tally.complete;
      },
      PATIENCE_MS,
    ).catch((error: unknown) => {
      t.log(`missing: ${this.#tally.missing.join(' ')}`);
      throw error;
    });
    t.is(this.#tally.exact, this.#tally.sent);
    real.mixnet.check();
    for (const { name } of real.mixnet.programs) {
      await until(`${name} is well`, async () => isWell(await this.status(name)), PATIENCE_MS);
    }
  }

  async status(program: string): Promise<Status> {
    return await readStatus(this.config(program));
  }

  /** Of a program: `alpha`, or `alpha.controller`. */
  config(program: string): Config {
    const [name, controller] = program.split('.');
    const peer = this.#real.mixnet.peers.find((each) => each.name === name);
    return readConfig(controller ? peer?.controllerConfig : peer?.nodeConfig);
  }

  log(program: string): string {
    return readFileSync(this.#real.mixnet.logOf(program), 'utf8');
  }

  #mail(from: string, to: string) {
    const id = String(++this.#mails);
    const data = Buffer.from(`X-PANORAMIX-Mixable: yes\r\nSubject: ${id}\r\n\r\nroom?\r\n`);
    const recipient = `bob+${id}@${to}.example`;
    return { from: `ada@${from}.example`, to: [recipient], data, queueId: `BAD${id}` };
  }
}

/** That packets of its own were lost meanwhile may show for longer. */
function isWell({ program, storage, directory, clock, queues }: Status): boolean {
  return (
    program === 'running' &&
    storage.state === 'up' &&
    storage.pressure === 'open' &&
    (directory === null || directory.state === 'valid') &&
    clock?.right !== false &&
    Object.values(queues).every(({ failed }) => failed === 0)
  );
}
