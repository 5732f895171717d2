/**
 * The demo's receiving mail server: a separate SMTP process that stands in for the providers' Postfix
 * and says so in its greeting. It stores each message as it came: N.json (envelope), then N.eml (data).
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';

/** The envelope of one message as the demo's receiving server heard it. */
export interface ReceivedEnvelope {
  readonly from: string;
  readonly recipients: readonly string[];
  /** Whether MAIL FROM carried SMTPUTF8 (RFC 6531 §3.4). */
  readonly smtputf8: boolean;
}

/**
 * Receives mail until closed.
 * @param port on 127.0.0.1
 * @param folder where messages are stored, numbered in order of arrival; `N.eml` appears whole
 */
export async function startReceiver(port: number, folder: string): Promise<SMTPServer> {
  mkdirSync(folder, { recursive: true });
  let received = 0;
  const server = new SMTPServer({
    banner: 'panoramix demo receiver, standing in for your Postfix',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    lenientAddressParsing: true,
    hideDSN: false,
    size: 1_073_741_824,
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('end', () => {
        const number = String(++received).padStart(6, '0');
        const { mailFrom, rcptTo } = session.envelope;
        const envelope: ReceivedEnvelope = {
          from: mailFrom ? mailFrom.address : '',
          recipients: rcptTo.map((recipient) => recipient.address),
          smtputf8: mailFrom !== false && mailFrom.args !== false && 'SMTPUTF8' in mailFrom.args,
        };
        const data = join(folder, `${number}.eml`);
        writeFileSync(join(folder, `${number}.json`), JSON.stringify(envelope));
        writeFileSync(`${data}.draft`, Buffer.concat(chunks));
        renameSync(`${data}.draft`, data);
        done(null, `2.0.0 stored as ${number}`);
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
