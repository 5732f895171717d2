/**
 * The mails that the demo sends: its own sample or the operator's files, opted in at the top, and the
 * bytes in which each must arrive.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { concat, fromUtf8 } from '../../bytes.ts';
import { canonicalise } from '../../mail/message.ts';
import { bytesToMix, viewHeader } from '../../mail/opt-in.ts';

const OPT_IN = fromUtf8('X-PANORAMIX-Mixable: yes\r\n');

/** One mail of the demo. */
export interface DemoMail {
  readonly name: string;
  /** Canonical bytes with the opt-in header, as a Postfix would hand them to the gateway. */
  readonly submitted: Uint8Array;
  /** The same without what the entry removes: opt-in and Received. */
  readonly expected: Uint8Array;
}

/** A file's mail: canonicalised, opted in. */
export function readMail(path: string): DemoMail {
  return demoMail(basename(path), readFileSync(path));
}

/** The demo's own mail, the `number`th. */
export function sampleMail(number: number, from: string, to: string): DemoMail {
  const text = [
    `From: Alice <${from}>`,
    `To: Bob <${to}>`,
    `Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= through the mixnet, number ${number}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <demo-${number}-${Date.now()}@${from.split('@')[1]}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'Dear Bob,',
    '',
    'this mail left one provider as Sphinx packets, crossed three mixes that each held it back for',
    'a time of my choosing, and reached yours as ordinary SMTP. Nobody touched a byte: ä ö ü ß €.',
    '',
    '.',
    '. Lines that begin with a dot are no trouble.',
    '-- ',
    'Alice',
    '',
  ].join('\r\n');
  return demoMail(`sample ${number}`, fromUtf8(text));
}

function demoMail(name: string, data: Uint8Array): DemoMail {
  const submitted = canonicalise(concat(OPT_IN, data));
  return { name, submitted, expected: bytesToMix(submitted, viewHeader(submitted)) };
}
