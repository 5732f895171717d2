/**
 * A raw SMTP conversation, for what no honest client would say: commands and bytes go out exactly as
 * given, one step after the answer to the one before.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * @param port on loopback
 * @param steps bytes of each step; the next one goes out after one complete answer
 * @returns the answer to the greeting and to each step, lines joined by LF; what the server still says after QUIT or before it hangs up is added at the end
 */
export async function dialogue(port: number, steps: readonly string[]): Promise<string[]> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const answers: string[] = [];
  const waiting = [...steps];
  let lines: string[] = [];
  let sent: string | undefined;
  for await (const line of createInterface({ input: socket })) {
    lines.push(line);
    if (line[3] === '-') continue;
    answers.push(lines.join('\n'));
    lines = [];
    // Without a 354 there is no message to send: it would be read as commands.
    if (sent === 'DATA\r\n' && !line.startsWith('354')) waiting.shift();
    sent = waiting.shift();
    if (sent !== undefined) socket.write(sent, 'latin1');
  }
  socket.destroy();
  return answers;
}

/** The steps that hand over one message, QUIT included; `message` is sent as it stands, with its final dot. */
export function transaction(from: string, to: readonly string[], message: string): string[] {
  return [
    'EHLO gateway.example\r\n',
    `MAIL FROM:<${from}>\r\n`,
    ...to.map((recipient) => `RCPT TO:<${recipient}>\r\n`),
    'DATA\r\n',
    message,
    'QUIT\r\n',
  ];
}
