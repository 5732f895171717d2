/** MAIL and RCPT command lines: what is taken can be written again and is then read as the same. */
import {
  decodeXtext,
  encodeXtext,
  parseMail,
  parseRcpt,
  type MailCommand,
  type RcptCommand,
} from '../../../src/mail/parameters.ts';
import { isDeepStrictEqual } from 'node:util';
import { fromUtf8 } from '../../../src/bytes.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { ADDRESSES, ADDRESS_WORDS, textSeeds } from '../seeds.ts';
import { hold, lossyText, type Target } from '../target.ts';

const WORDS = [
  ...ADDRESS_WORDS, 'MAIL FROM:', 'RCPT TO:', ' SIZE=', ' BODY=8BITMIME', ' BODY=7BIT', ' SMTPUTF8',
  ' RET=FULL', ' RET=HDRS', ' ENVID=', ' NOTIFY=NEVER', ' NOTIFY=SUCCESS,FAILURE,DELAY', ' ORCPT=rfc822;',
  ' ORCPT=utf-8;', '+3D', '+', '=', ' AUTH=<>', ' XFORWARD', '99999999999999999999',
]; // prettier-ignore

export function openSmtpCommand(): Target {
  return {
    seeds: textSeeds([
      ...ADDRESSES.map(
        (address) => `MAIL FROM:<${address}> SIZE=100 BODY=8BITMIME RET=FULL ENVID=a+3Db`,
      ),
      ...ADDRESSES.map((address) => `RCPT TO:<${address}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b`),
      'MAIL FROM:<>',
      'mail from : bob@in.example SMTPUTF8',
      'RCPT TO:<bob@in.example> ORCPT=utf-8;bü',
    ]),
    mutations: BYTE_MUTATIONS,
    dictionary: WORDS,
    inputBytesMax: 4_096,
    shortRuns: 40_000,
    run(input) {
      for (const utf8 of ['declared', 'any'] as const) {
        const mail = parseMail(input, { utf8 });
        // SIZE may have 20 digits (RFC 1870 §4): what no number holds is too large, whatever it is.
        if (mail.ok && (mail.command.sizeBytes ?? 0) <= Number.MAX_SAFE_INTEGER) {
          const again = parseMail(fromUtf8(writeMail(mail.command)), { utf8 });
          hold(
            again.ok && isDeepStrictEqual(again.command, mail.command),
            'MAIL is read otherwise',
          );
        }
        const rcpt = parseRcpt(input, false, { utf8 });
        if (rcpt.ok) {
          const again = parseRcpt(fromUtf8(writeRcpt(rcpt.command)), false, { utf8 });
          hold(
            again.ok && isDeepStrictEqual(again.command, rcpt.command),
            'RCPT is read otherwise',
          );
        }
        hold(!(mail.ok && rcpt.ok), 'a line is both MAIL and RCPT');
        if (mail.ok || rcpt.ok) hold(!isTwice(lossyText(input)), 'a parameter is taken twice');
      }
      const text = lossyText(input).replaceAll(/[^\0-\xff]/g, '?');
      const xtext = encodeXtext(text);
      hold(/^[!-~]*$/.test(xtext), 'xtext is not printable ASCII');
      hold(decodeXtext(xtext) === text, 'xtext does not give the text again');
    },
  };
}

/** Whether a name stands twice behind the path. */
function isTwice(line: string): boolean {
  const rest = line.slice(line.lastIndexOf('>') + 1);
  const names = rest.split(/[ \t]+/).map((one) => one.replace(/=.*$/s, '').toUpperCase());
  const known = names.filter((name) =>
    /^(?:SIZE|BODY|SMTPUTF8|RET|ENVID|NOTIFY|ORCPT)$/.test(name),
  );
  return new Set(known).size < known.length;
}

function writeMail({ sender, body, smtputf8, sizeBytes, ret, envid }: MailCommand): string {
  const parts = [
    `MAIL FROM:<${sender?.address ?? ''}>`,
    `BODY=${body}`,
    smtputf8 && 'SMTPUTF8',
    sizeBytes !== undefined && `SIZE=${sizeBytes}`,
    ret && `RET=${ret}`,
    envid !== undefined && `ENVID=${envid}`,
  ];
  return parts.filter((part) => typeof part === 'string').join(' ');
}

function writeRcpt({ recipient, notify, orcpt }: RcptCommand): string {
  const parts = [
    `RCPT TO:<${recipient.address}>`,
    notify !== undefined && `NOTIFY=${notify}`,
    orcpt !== undefined && `ORCPT=${orcpt}`,
  ];
  return parts.filter((part) => typeof part === 'string').join(' ');
}
