import test from 'ava';
import { fromUtf8, toUtf8 } from '../../src/bytes.ts';
import { bytesToMix, bytesToPass, viewHeader, type OptIn } from '../../src/mail/opt-in.ts';

const FIELD = 'X-PANORAMIX-Mixable';

const WISHES: readonly [header: string, optIn: OptIn, why: string][] = [
  [`${FIELD}: yes\r\n`, 'yes', 'yes'],
  [`${FIELD}: no\r\n`, 'no', 'no'],
  [`${FIELD}: NO\r\n`, 'no', 'no in capitals'],
  [`${FIELD}: false\r\n`, 'no', 'false'],
  [`${FIELD}: 0\r\n`, 'no', 'zero'],
  [`${FIELD}:\r\n`, 'no', 'empty'],
  [`${FIELD}: \t \r\n`, 'no', 'blanks'],
  [`${FIELD}:\r\n \r\n`, 'no', 'blanks, folded'],
  [`${FIELD}:yes\r\n`, 'yes', 'no blank after the colon'],
  [`${FIELD} : yes\r\n`, 'yes', 'blank before the colon'],
  [`x-panoramix-MIXABLE: yes\r\n`, 'yes', 'odd case'],
  [`${FIELD}:\r\n yes\r\n`, 'yes', 'folded before the value'],
  [`${FIELD}: n\r\n o\r\n`, 'yes', 'folded inside: "n o" is not no'],
  [`${FIELD}: yes (thanks)\r\n`, 'yes', 'with a comment'],
  [`${FIELD}: no (thanks)\r\n`, 'yes', 'any value but the four: the Postfix table reads it so too'],
  [`${FIELD}: 1\r\n`, 'yes', 'one'],
  [`${FIELD}: nope\r\n`, 'yes', 'a word that begins with no'],
  [`${FIELD}: 00\r\n`, 'yes', 'two zeros'],
  [`${FIELD}: \0\r\n`, 'yes', 'NUL is a value'],
  [`${FIELD}: required\r\n`, 'required', 'required'],
  [`${FIELD}: Required; really\r\n`, 'required', 'required with more behind it'],
  [`${FIELD}: required(!)\r\n`, 'required', 'required with a comment'],
  [`${FIELD}: requiredly\r\n`, 'yes', 'another word'],
  [`${FIELD}: no\r\n${FIELD}: yes\r\n`, 'yes', 'twice: the wish for privacy holds'],
  [`${FIELD}: yes\r\n${FIELD}: no\r\n`, 'yes', 'twice, the other way round'],
  [`${FIELD}: yes\r\n${FIELD}: required\r\n`, 'required', 'twice: the stronger wish holds'],
  [`Subject: ${FIELD}: yes\r\n`, 'no', 'in the body of another field'],
  [`Subject: x\r\n ${FIELD}: yes\r\n`, 'no', 'in a continuation line'],
  [`X${FIELD}: yes\r\n`, 'no', 'a longer name'],
  [`${FIELD}s: yes\r\n`, 'no', 'a longer name at its end'],
  [`Subject: x\r\n\r\n${FIELD}: yes\r\n`, 'no', 'in the body'],
  [`no field\r\n${FIELD}: yes\r\n`, 'no', 'after a line that ended the header'],
  [
    `Content-Type: message/rfc822\r\n\r\n${FIELD}: yes\r\n\r\nx`,
    'no',
    'in an attached mail: it is not this mail’s wish',
  ],
];

for (const [header, optIn, why] of WISHES) {
  test(`opting in: ${why}`, (t) => {
    t.is(viewHeader(fromUtf8(`From: a@b.example\r\n${header}\r\nbody\r\n`)).optIn, optIn);
  });
}

/** Header, and the names that are left for mixed and for passed mail. */
const REMOVALS: readonly [header: string, mixed: string, passed: string, why: string][] = [
  [
    `Received: a\r\n\tb\r\nSubject: x\r\n${FIELD}: yes\r\nReceived: c\r\n`,
    'Subject: x\r\n',
    'Received: a\r\n\tb\r\nSubject: x\r\nReceived: c\r\n',
    'opt-in and Received go from mixed mail, the opt-in from passed mail',
  ],
  [
    'DKIM-Signature: v=1; h=from:received:to; b=x\r\nReceived: a\r\n',
    'DKIM-Signature: v=1; h=from:received:to; b=x\r\nReceived: a\r\n',
    'DKIM-Signature: v=1; h=from:received:to; b=x\r\nReceived: a\r\n',
    'Received that a signature names stays',
  ],
  [
    'DKIM-Signature: v=1;\r\n\th=From\r\n\t : RECEIVED; b=x\r\nReceived: a\r\n',
    'DKIM-Signature: v=1;\r\n\th=From\r\n\t : RECEIVED; b=x\r\nReceived: a\r\n',
    'DKIM-Signature: v=1;\r\n\th=From\r\n\t : RECEIVED; b=x\r\nReceived: a\r\n',
    'also folded, in capitals, with blanks',
  ],
  [
    'DKIM-Signature: v=1; bh=received; b=h=received\r\nReceived: a\r\n',
    'DKIM-Signature: v=1; bh=received; b=h=received\r\n',
    'DKIM-Signature: v=1; bh=received; b=h=received\r\nReceived: a\r\n',
    'other tags do not name fields',
  ],
  [
    'DKIM-Signature: v=1; h=from; b=x\r\nDKIM-Signature: v=1; h=received; b=y\r\nReceived: a\r\n',
    'DKIM-Signature: v=1; h=from; b=x\r\nDKIM-Signature: v=1; h=received; b=y\r\nReceived: a\r\n',
    'DKIM-Signature: v=1; h=from; b=x\r\nDKIM-Signature: v=1; h=received; b=y\r\nReceived: a\r\n',
    'any of several signatures',
  ],
  [
    'ARC-Message-Signature: i=1; h=received; b=x\r\nReceived: a\r\n',
    'ARC-Message-Signature: i=1; h=received; b=x\r\nReceived: a\r\n',
    'ARC-Message-Signature: i=1; h=received; b=x\r\nReceived: a\r\n',
    'an ARC signature counts too',
  ],
  [
    `DKIM-Signature: h=x-panoramix-mixable; b=x\r\n${FIELD}: yes\r\nReceived: a\r\n`,
    `DKIM-Signature: h=x-panoramix-mixable; b=x\r\n${FIELD}: yes\r\n`,
    `DKIM-Signature: h=x-panoramix-mixable; b=x\r\n${FIELD}: yes\r\nReceived: a\r\n`,
    'an opt-in that a signature names stays',
  ],
  ['Received-SPF: pass\r\n', 'Received-SPF: pass\r\n', 'Received-SPF: pass\r\n', 'names are whole'],
];

for (const [header, mixed, passed, why] of REMOVALS) {
  test(`what travels on: ${why}`, (t) => {
    const data = fromUtf8(`${header}\r\nReceived: body\r\n`);
    const view = viewHeader(data);
    t.is(toUtf8(bytesToMix(data, view)), `${mixed}\r\nReceived: body\r\n`);
    t.is(toUtf8(bytesToPass(data, view)), `${passed}\r\nReceived: body\r\n`);
  });
}
