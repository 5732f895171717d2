/**
 * Stands where the gateway will: takes what Postfix sends to the filter's port, writes it down and
 * answers as told. Its count of connections proves which mail never came near it.
 */
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** One transaction as it came in. */
export interface FilteredMail {
  readonly from: string;
  readonly recipients: readonly string[];
  /** The bytes between DATA and the final dot, dots unstuffed. */
  readonly message: Buffer;
  /** XFORWARD attributes by their names, IDENT is Postfix's queue id. */
  readonly xforward: ReadonlyMap<string, string>;
}

export interface RecordingFilter {
  readonly mails: readonly FilteredMail[];
  /** Connections so far, greeted and no more included. */
  readonly contacts: number;
  /** Waits until there are `count` mails. */
  waitForMails(count: number, timeoutMs?: number): Promise<readonly FilteredMail[]>;
  stop(): Promise<void>;
}

type Take = (...handed: Parameters<NonNullable<SMTPServerOptions['onData']>>) => Promise<void>;
/** In LMTP mode smtp-server takes an answer for each recipient; its types do not say so. */
type LmtpDone = (error: null, answers: readonly (string | Error)[]) => void;

/**
 * @param port on loopback
 * @param protocol what Postfix speaks to it
 * @param answer the error to give to a recipient instead of 250 (LMTP), or to all (SMTP)
 */
export async function startRecordingFilter(
  port: number,
  protocol: 'lmtp' | 'smtp' = 'lmtp',
  answer: (recipient: string) => Error | null = () => null,
): Promise<RecordingFilter> {
  const mails: FilteredMail[] = [];
  let contacts = 0;
  const take: Take = async (stream, session, done) => {
    const message = await buffer(stream);
    const { mailFrom, rcptTo } = session.envelope;
    const recipients = rcptTo.map(({ address }) => address);
    const xforward = new Map(session.xForward as Map<string, string>);
    mails.push({ from: mailFrom === false ? '' : mailFrom.address, recipients, message, xforward });
    const answers = recipients.map((recipient) => answer(recipient) ?? 'kept');
    if (protocol === 'lmtp') (done as LmtpDone)(null, answers);
    else done(answers.find((each) => each instanceof Error) ?? null);
  };
  const server = new SMTPServer({
    lmtp: protocol === 'lmtp',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    hideDSN: false,
    hideSMTPUTF8: false,
    hideENHANCEDSTATUSCODES: false,
    size: 20_000_000,
    useXForward: ['127.0.0.1'],
    lenientAddressParsing: true,
    logger: false,
    onConnect(_session, done) {
      contacts += 1;
      done();
    },
    onData(stream, session, done) {
      void take(stream, session, done);
    },
  });
  server.on('error', () => undefined);
  server.listen(port, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    mails,
    get contacts() {
      return contacts;
    },
    async waitForMails(count, timeoutMs = 10_000) {
      const endMs = Date.now() + timeoutMs;
      while (mails.length < count) {
        if (Date.now() > endMs) throw new Error(`${mails.length} of ${count} mails came`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return mails;
    },
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
