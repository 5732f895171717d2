/**
 * What the next mail server answers, in place of our own Postfix: parts of the input, divided by a mark, one for the greeting
 * and one for each line and message that it is sent. A mail that counts as accepted has gone over whole; what
 * the server said comes back as one line; and there is always an end.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Submitter } from '../../../filters/submit.ts';
import { equalBytes } from '../../../src/bytes.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { hasControls, hold, latin1, type Target } from '../target.ts';

const MARK = '|';
const REPLY_MS_MAX = 100;
const WORDS = [
  MARK, '250', '250-', '250 2.1.0 Ok\r\n', '354 go\r\n', '451 4.3.0 later\r\n', '550 5.1.1 no\r\n', '421 4.3.2 bye\r\n', '220 ',
  '503 nested\r\n', '250-PIPELINING\r\n', '250-SIZE 1000\r\n', '250-SMTPUTF8\r\n', '250-DSN\r\n', '250-8BITMIME\r\n', '250-XFORWARD IDENT\r\n',
  '\r', '\n', '\r\n', '\0', '999 x\r\n', '25', '\xff',
]; // prettier-ignore
const DATA = latin1('Subject: it\r\n\r\n.dot\r\n..\r\ntext\r\n');
const GREETING = `220 raw ESMTP\r\n${MARK}250-raw\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-XFORWARD IDENT\r\n250 SMTPUTF8\r\n`;
const OK = '250 2.1.0 Ok\r\n';

export async function openSmtpReplies(): Promise<Target> {
  const next = await ScriptedServer.start();
  const mail = {
    sender: 'a@a.example',
    recipients: [{ address: 'b@b.example' }, { address: '"c d"@b.example', notify: 'NEVER' }],
    body: '8BITMIME',
    smtputf8: true,
    queueId: '4ABC',
    data: DATA,
  } as const;
  return {
    seeds: [
      [GREETING, OK, OK, OK, OK, '354 go\r\n', OK, OK].join(MARK),
      [GREETING, OK, OK, '550 5.1.1 no\r\n', OK, '354 go\r\n', '451 4.3.0 a\r\n', OK].join(MARK),
      [GREETING, OK, OK, '550 no\r\n', '452 4.2.2-a\r\n', OK].join(MARK),
      ['220 raw\r\n', '250 raw\r\n', OK, OK, OK, '354 go\r\n', OK].join(MARK),
      [GREETING, OK, OK, OK, OK, '250 no\r\n', OK].join(MARK),
    ].map(latin1),
    mutations: [...LINE_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 20_000,
    shortRuns: 300,
    async run(input) {
      next.follow(Buffer.from(input).toString('latin1').split(MARK));
      const submitter = new Submitter({
        server: next.address,
        hostname: 'filter.example',
        replyMsMax: REPLY_MS_MAX,
        dataMsMax: REPLY_MS_MAX,
      });
      const results = await submitter.send(mail);
      await submitter.close();
      hold(results.length === mail.recipients.length, 'a recipient without a result');
      for (const { outcome, reply } of results) {
        hold(reply.code >= 200 && reply.code < 600, 'a reply without a code');
        hold(!hasControls(reply.text), 'a line end, or worse, in what a server said');
        if (outcome !== 'accepted') continue;
        const whole = await next.message();
        // A server that says yes and hangs up before it has read all is believed: nobody can know better.
        if (next.hasHungUp) continue;
        hold(
          whole !== null && equalBytes(whole, DATA),
          'a mail counts as accepted that was not sent',
        );
      }
    },
    async close() {
      await next.stop();
    },
  };
}

/** Answers by a script, whatever it is asked. */
class ScriptedServer {
  /** Where the script was at its end. */
  hasHungUp = false;
  readonly #server: Server;
  #script: readonly string[] = [];
  #seen: Buffer = Buffer.alloc(0);
  #gone: Promise<unknown> = Promise.resolve();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async start(): Promise<ScriptedServer> {
    const server = createServer();
    const scripted = new ScriptedServer(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return scripted;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  follow(script: readonly string[]): void {
    this.#script = script;
    this.hasHungUp = false;
    this.#seen = Buffer.alloc(0);
  }

  /** What came behind a line DATA, up to its end, unstuffed; null where none came whole. */
  async message(): Promise<Uint8Array | null> {
    await this.#gone;
    const text = this.#seen.toString('latin1');
    const found = /(?:^|\n)DATA(\r\n[\s\S]*?)\r\n\.\r\n/.exec(text)?.[1];
    if (found === undefined) return null;
    return latin1(`${found}\r\n`.replaceAll('\r\n.', '\r\n').slice(2));
  }

  async stop(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    let answered = 0;
    let open = '';
    let isMessage = false;
    const answer = (): void => {
      const reply = this.#script[answered++];
      this.hasHungUp = reply === undefined;
      if (reply === undefined) socket.end();
      else socket.write(reply, 'latin1');
      isMessage = reply?.startsWith('354') === true;
    };
    socket.on('error', () => undefined);
    this.#gone = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (chunk: Buffer) => {
      this.#seen = Buffer.concat([this.#seen, chunk]);
      open += chunk.toString('latin1');
      for (;;) {
        const end = isMessage ? /^\.\r\n|\r\n\.\r\n/.exec(open) : /\r\n/.exec(open);
        if (end === null) return;
        open = open.slice(end.index + end[0].length);
        answer();
      }
    });
    answer();
  }
}
