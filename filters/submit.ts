/**
 * Hands mail to a Postfix service of ours: 10036 for what passes, 10037 for what arrives. Says of each
 * recipient what became of it; what is not known is temporary, so nothing is lost by a broken line.
 */
import type { Address } from '../src/config.ts';
import type { Reply } from '../src/mail/envelope.ts';
import {
  ConnectionLost,
  oneLine,
  SmtpClient,
  type ClientOptions,
  type OutgoingMail,
} from './smtp-client.ts';

export type Outcome = 'accepted' | 'refused' | 'deferred';

export interface RecipientResult {
  readonly address: string;
  /** `refused` is for good, `deferred` may be tried again. */
  readonly outcome: Outcome;
  readonly reply: Reply;
}

export interface SubmitterOptions {
  readonly server: Address;
  readonly hostname: string;
  /** Connections at once; further mails wait for one. */
  readonly connectionsMax?: number;
  /** Connections kept for the next mail, for so long: shorter than Postfix's smtpd_timeout. */
  readonly idleMsMax?: number;
  readonly replyMsMax?: number;
  readonly dataMsMax?: number;
}

const CONNECTIONS_MAX = 10;
const IDLE_MS_MAX = 5_000;
/** RFC 5321 §4.5.3.2 asks minutes of clients on the Internet; this server is our own, next door. */
const REPLY_MS_MAX = 60_000;
/** As Postfix waits for the end of data (`smtp_data_done_timeout` is 600 s), and then some less. */
const DATA_MS_MAX = 300_000;

/** A small pool of connections to one server. */
export class Submitter {
  readonly #client: ClientOptions;
  readonly #connectionsMax: number;
  readonly #idleMsMax: number;
  readonly #idle: { client: SmtpClient; timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #closed = false;

  constructor(options: SubmitterOptions) {
    this.#client = {
      server: options.server,
      hostname: options.hostname,
      replyMsMax: options.replyMsMax ?? REPLY_MS_MAX,
      dataMsMax: options.dataMsMax ?? DATA_MS_MAX,
    };
    this.#connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
    this.#idleMsMax = options.idleMsMax ?? IDLE_MS_MAX;
  }

  /** Sends one mail; one result for each recipient, in order. Never throws for what a server does. */
  async send(mail: OutgoingMail): Promise<readonly RecipientResult[]> {
    if (mail.recipients.length === 0) return [];
    await this.#slot();
    try {
      const replies = await this.#sendOnce(mail);
      return mail.recipients.map(({ address }, i) => {
        const reply = replies[i] ?? lostReply('no reply');
        return { address, outcome: outcomeOf(reply), reply };
      });
    } finally {
      this.#release();
    }
  }

  /** Ends idle connections; those at work end with their mail. */
  async close(): Promise<void> {
    this.#closed = true;
    const idle = this.#idle.splice(0);
    for (const { timer } of idle) clearTimeout(timer);
    await Promise.all(idle.map(({ client }) => client.quit()));
  }

  async #sendOnce(mail: OutgoingMail): Promise<readonly Reply[]> {
    const kept = this.#takeIdle();
    let client = kept;
    try {
      try {
        client ??= await SmtpClient.connect(this.#client);
        return await this.#sendOver(client, mail);
      } catch (error) {
        // The server may close a kept connection at the very moment we use it: once more, anew.
        if (!(error instanceof ConnectionLost) || !kept || kept.dataStarted) throw error;
        client = await SmtpClient.connect(this.#client);
        return await this.#sendOver(client, mail);
      }
    } catch (error) {
      client?.close();
      if (!(error instanceof ConnectionLost)) throw error;
      return mail.recipients.map(() => lostReply(error.message));
    }
  }

  async #sendOver(client: SmtpClient, mail: OutgoingMail): Promise<readonly Reply[]> {
    const replies = await client.send(mail);
    this.#keep(client);
    return replies;
  }

  /** Waits for one of the connections; whoever gives one back hands it to the first who waits. */
  async #slot(): Promise<void> {
    if (this.#busy < this.#connectionsMax) this.#busy++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#busy--;
  }

  #takeIdle(): SmtpClient | null {
    while (this.#idle.length > 0) {
      const kept = this.#idle.pop();
      clearTimeout(kept?.timer);
      if (kept?.client.usable) return kept.client;
    }
    return null;
  }

  #keep(client: SmtpClient): void {
    if (!client.usable) return;
    if (this.#closed) {
      void client.quit();
      return;
    }
    const timer = setTimeout(() => {
      const index = this.#idle.findIndex((kept) => kept.client === client);
      if (index >= 0) this.#idle.splice(index, 1);
      void client.quit();
    }, this.#idleMsMax);
    timer.unref();
    this.#idle.push({ client, timer });
  }
}

function outcomeOf({ code }: Reply): Outcome {
  if (code >= 200 && code < 300) return 'accepted';
  return code >= 500 ? 'refused' : 'deferred';
}

function lostReply(why: string): Reply {
  return { code: 451, text: `4.4.2 ${oneLine(why)}` };
}
