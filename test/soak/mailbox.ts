/**
 * The mail server behind a gateway, for hours of mail: it reads each message to its end, says what it was
 * and keeps nothing, so that whoever measures does not grow himself.
 */
import { createHash } from 'node:crypto';
import { SMTPServer } from 'smtp-server';

/** One message that came. */
export interface Arrived {
  readonly recipients: readonly string[];
  /** Of the data as it came. */
  readonly sha256: string;
}

/** Receives on 127.0.0.1 until closed. */
export async function openMailbox(
  port: number,
  onMail: (mail: Arrived) => void,
): Promise<{ close(): Promise<void> }> {
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    lenientAddressParsing: true,
    hideDSN: false,
    size: 1_073_741_824,
    onData(stream, session, done) {
      const hash = createHash('sha256');
      stream.on('data', (chunk: Buffer) => void hash.update(chunk));
      stream.once('end', () => {
        const recipients = session.envelope.rcptTo.map(({ address }) => address);
        onMail({ recipients, sha256: hash.digest('hex') });
        done(null, '2.0.0 read');
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    close: async () => await new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
