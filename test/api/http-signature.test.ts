import test from 'ava';
import { type ReadReason, signRead, verifyRead } from '../../src/api/http-signature.ts';
import { STALE_MS } from '../../src/api/signed.ts';
import { createIdentity, identityFromSecret } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';

const identity = createIdentity(native);
const context = { nowMs: 1_800_000_000_000, catalogUrl: 'http://127.0.0.1:8000/' };
const target = { method: 'GET', path: '/panoramix/messages', query: '?endpoint_id=a&box=INBOX' };

test('signed reading verifies on both sets of primitives and gives the key', (t) => {
  const fields = signRead(native, identity, target, context);
  for (const primitives of [native, portable]) {
    t.deepEqual(verifyRead(primitives, target, fields, context), {
      ok: true,
      signer: identity.peerId,
    });
  }
});

test('the fields are written as RFC 9421, section 4, has them', (t) => {
  const fixed = identityFromSecret(native, new Uint8Array(32).fill(7));
  const primitives = { ...native, random: (length: number) => new Uint8Array(length) };
  const { signatureInput, signature } = signRead(primitives, fixed, target, context);
  t.is(
    signatureInput,
    'sig1=("@method" "@authority" "@path" "@query");created=1800000000' +
      `;keyid="${fixed.peerId}";alg="ed25519";nonce="AAAAAAAAAAAAAAAAAAAAAA";tag="panoramix"`,
  );
  t.regex(signature, /^sig1=:[A-Za-z0-9+/]{86}==:$/);
  const base = [
    '"@method": GET',
    '"@authority": 127.0.0.1:8000',
    '"@path": /panoramix/messages',
    '"@query": ?endpoint_id=a&box=INBOX',
    `"@signature-params": ${signatureInput.slice(5)}`,
  ].join('\n');
  const bytes = Buffer.from(signature.slice(6, -1), 'base64');
  t.true(native.verify(Buffer.from(fixed.peerId, 'hex'), Buffer.from(base), bytes));
});

for (const [what, other] of [
  ['another method', { ...target, method: 'DELETE' }],
  ['another path', { ...target, path: '/panoramix/messages/' }],
  ['another query', { ...target, query: '?endpoint_id=b&box=INBOX' }],
] as const) {
  test(`a signature does not serve ${what}`, (t) => {
    const fields = signRead(native, identity, target, context);
    t.deepEqual(verifyRead(native, other, fields, context), {
      ok: false,
      reason: 'signature-invalid',
    });
  });
}

test('a signature does not serve another controller', (t) => {
  const fields = signRead(native, identity, target, context);
  const other = { ...context, catalogUrl: 'http://other:8000/' };
  t.deepEqual(verifyRead(native, target, fields, other), {
    ok: false,
    reason: 'signature-invalid',
  });
});

test('signed reading is stale after five minutes', (t) => {
  const fields = signRead(native, identity, target, context);
  const later = { ...context, nowMs: context.nowMs + STALE_MS + 1000 };
  t.deepEqual(verifyRead(native, target, fields, later), { ok: false, reason: 'request-stale' });
});

type Alter = (input: string) => string;
const malformed: readonly (readonly [string, Alter, ReadReason])[] = [
  ['no fields', () => '', 'signature-missing'],
  ['a component left out', (input) => input.replace(' "@query"', ''), 'signature-missing'],
  ['a component twice', (input) => input.replace('"@query"', '"@path"'), 'signature-missing'],
  ['another tag', (input) => input.replace('panoramix', 'another'), 'signature-missing'],
  ['another algorithm', (input) => input.replace('ed25519', 'rsa-pss'), 'signature-missing'],
  ['a parameter twice', (input) => `${input};tag="panoramix"`, 'signature-missing'],
  ['no key', (input) => input.replace(/;keyid="[^"]*"/, ''), 'signature-missing'],
  ['no time', (input) => input.replace(/;created=\d+/, ''), 'signature-missing'],
  ['two labels', (input) => `${input}, sig2=()`, 'signature-missing'],
  ['another label', (input) => input.replace('sig1', 'sig2'), 'signature-missing'],
  ['megabytes', (input) => input + ';a=1'.repeat(1_000_000), 'signature-missing'],
  ['another time', (input) => input.replace('created=1', 'created=2'), 'signature-invalid'],
  [
    'the same components in another order, unsigned so',
    (input) => input.replace('"@method" "@authority"', '"@authority" "@method"'),
    'signature-invalid',
  ],
];

for (const [what, alter, reason] of malformed) {
  test(`Signature-Input with ${what} is refused`, (t) => {
    const fields = signRead(native, identity, target, context);
    const altered = { ...fields, signatureInput: alter(fields.signatureInput) };
    t.not(altered.signatureInput, fields.signatureInput);
    t.deepEqual(verifyRead(native, target, altered, context), { ok: false, reason });
  });
}

test('a Signature that is none is refused', (t) => {
  const fields = signRead(native, identity, target, context);
  for (const signature of ['', 'sig1=::', 'sig1=:AAAA:', fields.signature.slice(0, -2)]) {
    const verified = verifyRead(native, target, { ...fields, signature }, context);
    t.deepEqual(verified, { ok: false, reason: 'signature-missing' });
  }
});
