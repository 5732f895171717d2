import { encode } from '@msgpack/msgpack';
import test from 'ava';
import fc from 'fast-check';
import { concat, fromUtf8 } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { LABELS } from '../../src/crypto/primitives.ts';
import {
  ADDRESS_BYTES_MAX,
  domainOf,
  RECIPIENTS_MAX,
  signEnvelope,
  verifyEnvelope,
  type Envelope,
} from '../../src/mixnet/envelope.ts';
import {
  ADDRESS_BYTES_MAX as ENTRY_ADDRESS_BYTES_MAX,
  lookupDomain,
  scanPath,
  splitAddress,
} from '../../src/mail/address.ts';
import { NOW_MS, peerIdOf } from './made-directory.ts';

const identity = createIdentity(native);
const envelope: Envelope = {
  mixnet: peerIdOf(4),
  messageId: '0123456789abcdef'.repeat(2),
  exit: peerIdOf(2),
  gateway: identity.peerId,
  from: 'alice@a.example',
  recipients: [
    { address: '"odd @ name"@b.example', notify: 'NEVER' },
    { address: 'bøb@b.example' },
  ],
  body: '8BITMIME',
  smtputf8: true,
  ret: 'HDRS',
  bytes: 17,
  sha256: 'ab'.repeat(32),
  expiryMs: NOW_MS,
};
const { ret: _ret, ...plain } = envelope;

for (const [what, sent] of [
  ['with every field', envelope],
  ['without RET', plain],
  ['with the null sender', { ...plain, from: '' }],
  ['for as many recipients as are allowed', many(RECIPIENTS_MAX)],
] as const) {
  test(`an envelope ${what} comes back, with both sets of primitives`, (t) => {
    const signed = signEnvelope(native, identity, sent);
    t.deepEqual(signEnvelope(portable, identity, sent), signed);
    t.deepEqual(verifyEnvelope(native, signed), { ok: true, envelope: sent });
    t.deepEqual(verifyEnvelope(portable, signed), { ok: true, envelope: sent });
  });
}

function many(count: number): Envelope {
  const recipients = Array.from({ length: count }, (_, i) => ({ address: `r${i}@b.example` }));
  return { ...envelope, recipients };
}

test('one changed byte, anywhere, and it is no envelope', (t) => {
  const signed = signEnvelope(native, identity, envelope);
  for (let i = 0; i < signed.length; i++) {
    const changed = signed.with(i, (signed[i] as number) ^ 1);
    t.false(verifyEnvelope(native, changed).ok, `byte ${i}`);
  }
  const inSignature = signed.with(5, (signed[5] as number) ^ 1);
  t.deepEqual(verifyEnvelope(native, inSignature), { ok: false, reason: 'envelope-signature' });
});

test("another gateway's name over our signature is refused", (t) => {
  const other = createIdentity(native);
  t.throws(() => signEnvelope(native, other, envelope), { instanceOf: RangeError });
  const forged = { ...envelope, gateway: other.peerId };
  const text = signEnvelope(native, other, forged).subarray(64);
  const signature = native.sign(identity.secret, concat(fromUtf8(LABELS.envelope), text));
  t.deepEqual(verifyEnvelope(native, concat(signature, text)), {
    ok: false,
    reason: 'envelope-signature',
  });
});

for (const [what, over] of [
  ['a line break in MAIL FROM', { from: 'a@b\r\nDATA' }],
  ['a NUL in a recipient', { recipients: [{ address: 'a\0@b.example' }] }],
  ['an empty recipient', { recipients: [{ address: '' }] }],
  ['no recipient', { recipients: [] }],
  ['too many recipients', many(RECIPIENTS_MAX + 1)],
  ['an endless address', { from: `${'a'.repeat(ADDRESS_BYTES_MAX)}@b.example` }],
  ['a command in NOTIFY', { recipients: [{ address: 'a@b', notify: 'NEVER ORCPT=x' }] }],
  ['another BODY', { body: 'BINARYMIME' as '7BIT' }],
  ['another RET', { ret: 'ALL' as 'FULL' }],
  ['a size below nothing', { bytes: -1 }],
  ['a size that is not whole', { bytes: 1.5 }],
  ['an expiry beyond 48 bits', { expiryMs: 2 ** 48 }],
  ['a short message id', { messageId: '00' }],
  ['an exit that is no peer id', { exit: 'zz' }],
  ['a short hash', { sha256: 'ab' }],
] as const satisfies readonly (readonly [string, Partial<Envelope>])[]) {
  test(`${what} is never signed`, (t) => {
    t.throws(() => signEnvelope(native, identity, { ...envelope, ...over }), {
      instanceOf: RangeError,
    });
  });
}

const textOf = (signed: Uint8Array): Uint8Array => signed.subarray(64);
const signedAs = (fields: unknown): Uint8Array => signedText(encode(fields));
const signedText = (text: Uint8Array): Uint8Array => {
  return concat(native.sign(identity.secret, concat(fromUtf8(LABELS.envelope), text)), text);
};

const honest = textOf(signEnvelope(native, identity, envelope));
// The sender's first letter, as a byte that no UTF-8 text has.
const letter = honest.findIndex((_, i) => honest[i] === 0x61 && honest[i + 1] === 0x6c);

for (const [what, signed] of [
  ['nothing', new Uint8Array()],
  [
    'a longer spelling of a number',
    signedText(concat(honest.subarray(0, 1), new Uint8Array([0xcc]), honest.subarray(1))),
  ],
  ['a sender that is no UTF-8', signedText(honest.with(letter, 0xff))],

  ['a signature alone', new Uint8Array(64)],
  ['a map', signedAs({ from: 'a@b' })],
  ['a number', signedAs(1)],
  ['too few fields', signedAs([1, 2, 3])],
  ['bytes behind the end', concat(signEnvelope(native, identity, envelope), new Uint8Array(1))],
] as const) {
  test(`${what} is no envelope`, (t) => {
    t.deepEqual(verifyEnvelope(native, signed), { ok: false, reason: 'envelope-malformed' });
  });
}

test('any bytes are no envelope, never an exception', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      t.false(verifyEnvelope(native, bytes).ok);
    }),
  );
});

for (const [address, domain] of [
  ['bob@Example.ORG', 'example.org'],
  ['"a@b"@example.org', 'example.org'],
  ['bob@under_score.example', 'under_score.example'],
  ['bob@bücher.example', 'xn--bcher-kva.example'],
  ['bob@xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ['bob@example.org.', 'example.org'],
  ['bob@bücher.example.', 'xn--bcher-kva.example'],
  ['bob@bücher.example。', 'xn--bcher-kva.example'],
  ['bob', null],
  ['bob@', null],
  ['bob@.', null],
  ['bob\\@example.org', null],
  ['"bob@example.org', null],
  ['bob"@example.org', null],
  [`bob@${'a'.repeat(255)}`, null],
  ['@example.org', null],
  ['bob@example.org/x', null],
  ['bob@bücher.example:80', null],
  ['bob@bücher.example#x', null],
  ['bob@[127.0.0.1]', null],
  ['bob@ü %00', null],
] as const) {
  test(`the domain of ${address.slice(0, 40)} is ${domain}`, (t) => {
    t.is(domainOf(address), domain);
  });
}

test('every address that an entry takes can be signed: longer ones once waited until they bounced', (t) => {
  t.is(ADDRESS_BYTES_MAX, ENTRY_ADDRESS_BYTES_MAX);
  const domain = '@b.example';
  const longest = `${'a'.repeat(ENTRY_ADDRESS_BYTES_MAX - domain.length)}${domain}`;
  for (const address of [longest, '"a\tb"@b.example', '\ufeffa@b.example', 'a\u0085@b.example']) {
    t.true(scanPath(`<${address}>`).ok);
    const sent = { ...envelope, from: address, recipients: [{ address }] };
    const signed = signEnvelope(native, identity, sent);
    t.deepEqual(verifyEnvelope(native, signed), { ok: true, envelope: sent });
  }
});

test('an exit reads the domain that the entry looked up: a final dot once made mail foreign', (t) => {
  const letters = fc.constantFrom(...'ab"\\@..-_[]:/ éü。\u00ad你A'.split(''));
  fc.assert(
    fc.property(fc.string({ unit: letters, maxLength: 20 }), (text) => {
      const mailbox = splitAddress(text);
      if (typeof mailbox === 'string' || !/^[a-z0-9._-]+$/.test(mailbox.domain)) return;
      t.is(domainOf(text), mailbox.domain);
    }),
    { numRuns: 5000 },
  );
});

test('ten thousand endless names once held an exit for 11 seconds', (t) => {
  const endless = String.fromCharCode(...Array.from({ length: 680 }, (_, i) => 0x4e00 + 29 * i));
  const since = performance.now();
  for (let i = 0; i < 10_000; i++) {
    t.is(domainOf(`a@${endless}`), null);
    t.is(lookupDomain(endless), endless);
  }
  t.true(performance.now() - since < 4000);
});
