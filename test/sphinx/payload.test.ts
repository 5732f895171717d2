import test from 'ava';
import fc from 'fast-check';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { portable } from '../../src/crypto/portable.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import type { DropReason } from '../../src/sphinx/index.ts';
import {
  decodePayload,
  encodePayload,
  messageBytesMax,
  openForward,
  packBody,
} from '../../src/sphinx/payload.ts';
import { mac } from '../../src/sphinx/derive.ts';
import { bytes, cases, flipped } from './vectors.ts';

const KEY = new Uint8Array(16).fill(1);
const BODY_LEN = 1024;

for (const { title, vector, sphinx } of cases) {
  if (vector.kind !== 'forward') continue;
  test(`the exit reads the reference's payload: ${title}`, (t) => {
    const last = vector.steps.at(-1);
    const payload = sphinx.openForward(bytes(last?.mac_key ?? ''), bytes(last?.out.delta ?? ''));
    if ('kind' in payload) throw new Error(payload.reason);
    t.is(toHex(payload.dest), vector.dest);
    t.is(toHex(payload.message), vector.message);
    t.is(toHex(encodePayload(payload.dest, payload.message)), vector.payload_encoded);
  });
}

test('the longest message fits and one byte more does not, beside any dest', (t) => {
  // 280, 281 and 65 560 lie where the message's length field grows.
  for (const bodyLen of [32, 64, 279, 280, 281, 282, 283, 1024, 32_768, 65_559, 65_560, 65_565]) {
    for (const destBytes of [1, 4, 127]) {
      const dest = new Uint8Array(destBytes).fill(9);
      const longest = messageBytesMax(bodyLen, destBytes);
      const pack = (length: number) =>
        packBody(portable, bodyLen, KEY, encodePayload(dest, new Uint8Array(length)));
      if (longest < 0) t.throws(() => pack(0), { instanceOf: RangeError });
      else t.is(pack(longest).length, bodyLen);
      t.throws(() => pack(longest + 1), { instanceOf: RangeError, message: /message/ });
    }
  }
});

test('a payload survives packing, whatever its bytes and length', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 127 }),
      fc.uint8Array({ maxLength: 800 }),
      (dest, message) => {
        const body = packBody(portable, BODY_LEN, KEY, encodePayload(dest, message));
        t.deepEqual(openForward(portable, BODY_LEN, KEY, body), { dest, message });
      },
    ),
  );
});

test('messages that look like filling come back whole', (t) => {
  for (const message of ['', 'ff', '7f', '7fff', 'ff7fff7f', '00'.repeat(900), 'ff'.repeat(900)]) {
    const body = packBody(portable, BODY_LEN, KEY, encodePayload(fromUtf8('m'), bytes(message)));
    const payload = openForward(portable, BODY_LEN, KEY, body);
    t.is('kind' in payload ? payload.reason : toHex(payload.message), message);
  }
});

/** A body with a MAC that fits: what a sender who follows no rules encrypts. */
function bodyOf(padded: string): Uint8Array {
  const rest = new Uint8Array(BODY_LEN - 16).fill(0xff);
  rest.set(bytes(padded));
  const body = new Uint8Array(BODY_LEN);
  body.set(mac(portable, KEY, rest));
  body.set(rest, 16);
  return body;
}

const good = bodyOf('92c4016dc40568656c6c6f7f');
const hostile: readonly [string, DropReason, Uint8Array][] = [
  ['nothing', 'body-length', new Uint8Array(0)],
  ['one byte too few', 'body-length', good.subarray(1)],
  ['a touched MAC', 'body-mac-mismatch', flipped(good, 15)],
  ['a touched payload', 'body-mac-mismatch', flipped(good, 16)],
  ['touched filling', 'body-mac-mismatch', flipped(good, BODY_LEN - 1)],
  ['filling only', 'payload-malformed', bodyOf('')],
  ['no end mark', 'payload-malformed', bodyOf('92c4016dc40568656c6c6f')],
  ['another end mark', 'payload-malformed', bodyOf('92c4016dc40568656c6c6f80')],
  ['a zero for an end mark', 'payload-malformed', bodyOf('92c4016dc40568656c6c6f00')],
  ['no content', 'payload-malformed', bodyOf('7f')],
  ['an array of one', 'payload-malformed', bodyOf('91c4016d7f')],
  ['an array of three', 'payload-malformed', bodyOf('93c4016dc4016dc4016d7f')],
  ['a string for a message', 'payload-malformed', bodyOf('92c4016da1617f')],
  ['a string for a dest', 'payload-malformed', bodyOf('92a16dc4016d7f')],
  ['an empty dest', 'payload-malformed', bodyOf('92c400c4016d7f')],
  ['a dest of 128', 'payload-malformed', bodyOf(`92c480${'00'.repeat(128)}c4016d7f`)],
  ['a length that needs less', 'payload-malformed', bodyOf('92c4016dc500016d7f')],
  ['bytes left over', 'payload-malformed', bodyOf('92c4016dc4016d007f')],
  ['a message cut short', 'payload-malformed', bodyOf('92c4016dc4026d7f')],
];
for (const [what, reason, body] of hostile) {
  test(`a body with ${what} is ${reason}`, (t) => {
    t.deepEqual(openForward(portable, BODY_LEN, KEY, body), { kind: 'drop', reason });
    t.deepEqual(openForward(portable, BODY_LEN, KEY, good), {
      dest: fromUtf8('m'),
      message: fromUtf8('hello'),
    });
  });
}

test('any content is read or refused, and what is read has one form', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (raw) => {
      const content = Uint8Array.from([0x92, 0xc4, ...raw]);
      const payload = decodePayload(content);
      if (payload) t.deepEqual(encodePayload(payload.dest, payload.message), content);
      else t.pass();
    }),
    { numRuns: 2000 },
  );
});

test('a dest that the format has no room for, or a short key, is our own bug', (t) => {
  for (const length of [0, 128]) {
    t.throws(() => encodePayload(new Uint8Array(length), KEY), { instanceOf: RangeError });
  }
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: BODY_LEN }, portable);
  t.throws(() => sphinx.openForward(KEY.subarray(1), good), { instanceOf: RangeError });
});
