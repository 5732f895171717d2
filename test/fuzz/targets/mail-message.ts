/** Bytes of a mail: line ends, header, opt-in, and what is taken away, against readers that go by the letter. */
import { concat, equalBytes } from '../../../src/bytes.ts';
import {
  canonicalise,
  fieldText,
  HEADER_BYTES_MAX,
  scanHeader,
  type HeaderField,
} from '../../../src/mail/message.ts';
import { bytesToMix, bytesToPass, OPT_IN_FIELD, viewHeader } from '../../../src/mail/opt-in.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { mailSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const WORDS = [
  '\r', '\n', '\r\n', '\0', ':', ' ', '\t', '.', '\r\n.\r\n', 'X-PANORAMIX-Mixable: yes\r\n',
  'x-panoramix-mixable:required\r\n', 'X-Panoramix-Mixable : no\r\n', 'X-PANORAMIX-Mixable: false (a)\r\n',
  'Received: from a by b\r\n', 'DKIM-Signature: v=1; h=from:received:x-panoramix-mixable; b=\r\n',
  'ARC-Message-Signature: h=Received;\r\n', 'h=', ' h = a : b ;', 'Content-Type: message/rfc822\r\n\r\n',
]; // prettier-ignore

export function openMailMessage(): Target {
  return {
    seeds: mailSeeds(20_000),
    mutations: [...BYTE_MUTATIONS, ...LINE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 131_072,
    shortRuns: 6_000,
    run(input) {
      const data = canonicalise(input);
      hold(equalBytes(data, byTheBook(input)), 'canonical bytes are not those of the rule');
      hold(canonicalise(data) === data, 'canonical bytes are changed again');
      checkHeader(data);
      checkOptIn(data);
    },
  };
}

/** One line end after the other. */
function byTheBook(input: Uint8Array): Uint8Array {
  const text = Buffer.from(input)
    .toString('latin1')
    .replaceAll(/\r\n|\r|\n/g, '\r\n');
  const ends = text === '' || text.endsWith('\r\n');
  return Buffer.from(ends ? text : `${text}\r\n`, 'latin1');
}

/** The fields are what stands at the beginning, one after the other, each with its whole lines. */
function checkHeader(data: Uint8Array): void {
  const { fields, truncated } = scanHeader(data);
  let position = 0;
  for (const field of fields) {
    hold(field.start === position, 'fields do not follow each other');
    hold(field.bodyStart > field.start && field.bodyStart <= field.end, 'a field has no colon');
    hold(/^[!-9;-~]+$/.test(field.name), 'the name of a field is none');
    hold(field.name === field.name.toLowerCase(), 'the name of a field is not in lower case');
    hold(data[field.end - 1] === 0x0a, 'a field ends in the middle of a line');
    hold(
      !/[\r\n]/.test(fieldText(data, field).replaceAll(/\r(?!\n)|(?<!\r)\n/g, '')),
      'a line end',
    );
    position = field.end;
  }
  hold(truncated === position >= HEADER_BYTES_MAX && true, 'a header is cut off elsewhere');
}

function checkOptIn(data: Uint8Array): void {
  const view = viewHeader(data);
  const passed = bytesToPass(data, view);
  const mixed = bytesToMix(data, view);
  const removed = [...view.optInFields, ...view.receivedFields];
  hold(equalBytes(passed, without(data, view.optInFields)), 'passed mail lost something else');
  hold(equalBytes(mixed, without(data, removed)), 'mixed mail lost something else');
  hold(canonicalise(mixed) === mixed, 'mixed bytes are not canonical');
  // What is left is signed, or behind what is looked at.
  const left = scanHeader(mixed).fields.filter(({ name }) => name === OPT_IN_FIELD);
  if (view.optInFields.length > 0 && !view.truncated) hold(left.length === 0, 'an opt-in is left');
  const again = viewHeader(mixed);
  if (!view.truncated && view.receivedFields.length > 0) {
    hold(again.receivedFields.length === 0, 'a Received is left');
  }
}

function without(data: Uint8Array, fields: readonly HeaderField[]): Uint8Array {
  const kept: Uint8Array[] = [];
  let from = 0;
  for (const field of fields.toSorted((left, right) => left.start - right.start)) {
    kept.push(data.subarray(from, field.start));
    from = field.end;
  }
  return concat(...kept, data.subarray(from));
}
