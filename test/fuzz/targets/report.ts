/** Reports to senders, made of words that others chose: they say what was to be said, and nothing more. */
import { fromUtf8 } from '../../../src/bytes.ts';
import { scanPath } from '../../../src/mail/address.ts';
import { readBounce } from '../../../src/mail/bounce.ts';
import { canonicalise, scanHeader } from '../../../src/mail/message.ts';
import { writeReport } from '../../../src/mail/report.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { hold, lossyText, type Target } from '../target.ts';

const ID = '0123456789abcdef0123456789abcdef';
const WORDS = [
  '\r\n', '\n', '\r', '\0', '\t', ' ', '550 5.1.1 ', '\xc3\xa0', '\r\n\r\n', '\xc2\x85', '\xe2\x80\xa8',
  'Action: delivered', 'Final-Recipient: rfc822; eve@a.example', 'bob@in.example', 'bü@in.example', '\xff',
]; // prettier-ignore

/** Lines of an input: recipient, what a mail server said, what the operator says, and then the mail. */
function partsOf(input: Uint8Array): {
  address: string;
  reply: string;
  contact: string;
  mail: string;
} {
  const [address = '', reply = '', contact = '', ...mail] = lossyText(input).split('\n\n');
  return { address, reply, contact, mail: mail.join('\n\n') };
}

export function openReport(): Target {
  return {
    seeds: [
      'bob@in.example\n\n550 5.1.1 <bob@in.example>: no such user\n\nabuse@b.example\n\nSubject: a\r\nTo: b\r\n\r\ntext',
      'bü@in.example\n\n552 5.2.2 völl\r\n552 really\n\nwrite\nto us\n\nSubject: ä\r\n\r\n',
    ].map(fromUtf8),
    mutations: [...BYTE_MUTATIONS, ...LINE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 16_384,
    shortRuns: 6_000,
    run(input) {
      const { address, reply, contact, mail } = partsOf(input);
      const path = scanPath(`<${address}>`);
      // Whoever takes a recipient in has read it so.
      if (!path.ok || path.mailbox === null) return;
      // The id is a hash that nobody knows beforehand (report-id.ts).
      if (lossyText(input).includes(ID)) return;
      const taken = path.mailbox.address;
      const recipients = [
        { address: taken, status: '5.1.1', reply },
        { address: taken, status: '5.0.0', reply: null },
      ];
      const data = canonicalise(fromUtf8(mail));
      for (const ret of ['FULL', 'HDRS'] as const) {
        const report = writeReport(
          { sender: 'alice@a.example', ret, data, isWhole: true },
          recipients,
          {
            action: 'failed',
            domain: 'b.example',
            arrivedMs: 1e12,
            untilMs: 2e12,
            nowMs: 1.5e12,
            id: ID,
            contact,
          },
        );
        checkReport(report.data, taken);
      }
    },
  };
}

function checkReport(data: Uint8Array, address: string): void {
  hold(canonicalise(data) === data, 'a report is not canonical');
  const names = scanHeader(data).fields.map(({ name }) => name);
  const wanted = 'from to subject date message-id auto-submitted mime-version content-type';
  hold(names.join(' ') === wanted, 'a report has other header fields');
  const read = readBounce(data);
  hold(read !== null, 'our own report cannot be read');
  hold(read.length === 2, 'a report speaks of more or fewer recipients');
  for (const { final, action, reply } of read) {
    // Blanks at the end of a quoted local part have no place in a field.
    hold(final === address.replaceAll(/^[ \t]+|[ \t]+$/g, ''), 'a report speaks of somebody else');
    hold(action === 'failed', 'a report says something else');
    hold(reply === null || reply.length <= 480, 'what the mail server said is too long');
  }
}
