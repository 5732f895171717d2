/** Bodies that no parser reads in one way, or that nobody shall have to read: refused before all else. */
import test from 'ava';
import type { JsonReason } from '../../../src/api/canonical.ts';
import { privateController, sharedStore } from '../private-controller.ts';
import { assertOpen, assertRefused, knock, openDoors, signedAt } from './doors.ts';

const store = sharedStore(test);

/** A signed request whose `data` is replaced, after signing, by a text that JSON.stringify would not write. */
type Spoil = (text: string) => string | Uint8Array<ArrayBuffer>;

const dataIs =
  (text: string): Spoil =>
  (request) =>
    request.replace('"data":', `"data":${text},"was":`);

const bytes = (text: string, ...at: readonly number[]): Uint8Array<ArrayBuffer> => {
  const [before = '', after = ''] = text.split('"info"');
  return Uint8Array.from([...Buffer.from(before), ...at, ...Buffer.from(`"info"${after}`)]);
};

const rows: readonly (readonly [string, Spoil, JsonReason])[] = [
  ['nothing', () => '', 'not-json'],
  ['half a request', (text) => text.slice(0, text.length / 2), 'not-json'],
  ['two requests', (text) => text + text, 'not-json'],
  ['a comma too many', (text) => text.replace(/}$/, ',}'), 'not-json'],
  ['a comment', (text) => `/* */${text}`, 'not-json'],
  ['a byte order mark', (text) => `\ufeff${text}`, 'not-json'],
  ['a number that is none', dataIs('NaN'), 'not-json'],
  ['a number in another notation', dataIs('0x1f'), 'not-json'],
  ['a number with a leading zero', dataIs('007'), 'not-json'],
  ['a control character in a string', dataIs('"\u0000"'), 'not-json'],
  ['a key twice', dataIs('{"a":1,"a":1}'), 'duplicate-key'],
  ['a key twice, once escaped', dataIs(String.raw`{"a":1,"\u0061":2}`), 'duplicate-key'],
  ['`data` twice', (text) => text.replace('"data":', '"data":{},"data":'), 'duplicate-key'],
  [
    '`signature` twice',
    (text) => text.replace('"signature":"', '"signature":"x","signature":"'),
    'duplicate-key',
  ],
  ['a prototype', dataIs('{"__proto__":{"status":"OPEN"}}'), 'reserved-key'],
  ['1e400', dataIs('1e400'), 'number-too-large'],
  ['-1e400', dataIs('-1e400'), 'number-too-large'],
  ['2^53', dataIs('9007199254740992'), 'number-too-large'],
  ['a number of a thousand digits', dataIs('9'.repeat(1000)), 'number-too-large'],
  ['a lone high surrogate', dataIs(String.raw`"\ud800"`), 'lone-surrogate'],
  ['a lone low surrogate', dataIs(String.raw`"\udc00 "`), 'lone-surrogate'],
  ['two surrogates in the wrong order', dataIs(String.raw`"\udc00\ud800"`), 'lone-surrogate'],
  ['a lone surrogate in a key', dataIs(String.raw`{"\ud800":1}`), 'lone-surrogate'],
  ['33 brackets', dataIs('['.repeat(33) + ']'.repeat(33)), 'too-deep'],
  ['a hundred thousand brackets', dataIs('['.repeat(100_000)), 'too-deep'],
  ['ten thousand objects in each other', dataIs('{"a":'.repeat(10_000)), 'too-deep'],
  ['a lone continuation byte', (text) => bytes(text, 0x80), 'not-utf8'],
  ['a byte that UTF-8 never has', (text) => bytes(text, 0xff), 'not-utf8'],
  ['an overlong NUL', (text) => bytes(text, 0xc0, 0x80), 'not-utf8'],
  ['a surrogate in UTF-8', (text) => bytes(text, 0xed, 0xa0, 0x80), 'not-utf8'],
  ['a code point beyond Unicode', (text) => bytes(text, 0xf4, 0x90, 0x80, 0x80), 'not-utf8'],
  ['UTF-16', (text) => new Uint8Array(Buffer.from(text, 'utf16le')), 'not-json'],
  ['compressed bytes', () => Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), 'not-utf8'],
];

for (const [what, spoil, rule] of rows) {
  test(`a body with ${what} is refused at every door as json-malformed: ${rule}`, async (t) => {
    const bed = await privateController(t, store());
    const doors = await openDoors(bed);
    for (const door of doors) {
      const answer = await knock(bed, door, spoil(JSON.stringify(signedAt(bed, door))));
      assertRefused(t, bed, answer, { reason: 'json-malformed', rule, what: door.name });
    }
    await assertOpen(t, bed, doors);
  });
}

test('a body of more values than anybody shall have to read is refused', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    const request = dataIs(`[${'0,'.repeat(200_000)}0]`)(JSON.stringify(signedAt(bed, door)));
    const answer = await knock(bed, door, request);
    const rule = 'too-many-values';
    assertRefused(t, bed, answer, { reason: 'json-malformed', rule, what: door.name });
  }
  await assertOpen(t, bed, doors);
});

test('a body of more bytes than its door takes is refused, with or without its length announced', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    const body = JSON.stringify(signedAt(bed, door)).padEnd(3_000_000, ' ');
    const whole = await knock(bed, door, body);
    assertRefused(t, bed, whole, { reason: 'body-too-large', what: door.name });
    bed.skew(bed.now() - Date.now() + 1000);
    const streamed = await bed
      .fetch(`/panoramix/${door.path}`, {
        method: door.method,
        body: new Blob([body]).stream(),
        duplex: 'half',
      } as RequestInit)
      // The connection may close while the rest is being sent: then the log alone tells.
      .catch(() => null);
    if (streamed !== null) t.is(streamed.reason, 'body-too-large', door.name);
    t.is(bed.log.at(-1)?.reason, 'body-too-large', door.name);
  }
  await assertOpen(t, bed, doors);
});
