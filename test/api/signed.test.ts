import test from 'ava';
import { canonicalText, parseStrict } from '../../src/api/canonical.ts';
import { contributionText, parseContributionText } from '../../src/api/contribution.ts';
import {
  catalogUrlOf,
  type RequestReason,
  signRequest,
  signText,
  STALE_MS,
  verifyRequest,
} from '../../src/api/signed.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';

const identity = createIdentity(native);
const context = { nowMs: 1_800_000_000_000, catalogUrl: 'http://127.0.0.1:8000/' };
const body = {
  data: { endpoint_id: 'mix_1', size: 7 },
  info: { resource: 'endpoint', operation: 'create' },
  by_consensus: { consensus_id: 'a'.repeat(64), consensus_type: 'structural' as const },
};

test('a signed request verifies, on both sets of primitives, and gives what was sent', (t) => {
  const request = signRequest(native, identity, body, context);
  for (const primitives of [native, portable]) {
    const verified = verifyRequest(primitives, structuredClone(request), context);
    t.true(verified.ok);
    if (!verified.ok) return;
    const { text, ...rest } = verified.request;
    t.deepEqual(rest, { ...body, signer: identity.peerId });
    t.true(text.startsWith('{"by_consensus":'));
  }
});

test('key order and white space do not matter, since canonical text is what is signed', (t) => {
  const request = signRequest(native, identity, body, context);
  const turned = Object.fromEntries(Object.entries(request).toReversed());
  const read = parseStrict(JSON.stringify(turned, null, 4));
  t.true(read.ok && verifyRequest(native, read.value, context).ok);
});

type Alter = (request: Record<string, Record<string, unknown>>) => unknown;
const refused: readonly (readonly [string, Alter, RequestReason])[] = [
  ['no object', () => [1], 'request-malformed'],
  ['null', () => null, 'request-malformed'],
  ['no meta', ({ data, info }) => ({ data, info }), 'request-malformed'],
  ['no signature', meta({ signature: undefined }), 'signature-missing'],
  ['no key', meta({ key_data: undefined }), 'signature-missing'],
  [
    'other data',
    (request) => ({ ...request, data: { endpoint_id: 'mix_2' } }),
    'signature-invalid',
  ],
  ['a field more', (request) => ({ ...request, extra: 1 }), 'signature-invalid'],
  ['no consensus', ({ data, info, meta: own }) => ({ data, info, meta: own }), 'signature-invalid'],
  ['another nonce', meta({ nonce: 'abcdefghij' }), 'signature-invalid'],
  ['another time', meta({ time: new Date(0).toISOString() }), 'signature-invalid'],
  ['another key', meta({ key_data: createIdentity(native).peerId }), 'signature-invalid'],
  ['a key that is none', meta({ key_data: 'xyz' }), 'signature-invalid'],
  ['a short signature', meta({ signature: 'AAAA' }), 'signature-invalid'],
  ['a signature of zeros', meta({ signature: 'A'.repeat(86) }), 'signature-invalid'],
];

for (const [what, alter, reason] of refused) {
  test(`a request with ${what} is refused`, (t) => {
    const request = structuredClone(signRequest(native, identity, body, context));
    t.true(verifyRequest(native, request, context).ok);
    const altered = alter(request as unknown as Record<string, Record<string, unknown>>);
    t.deepEqual(verifyRequest(native, altered, context), { ok: false, reason });
  });
}

test('a request is taken for five minutes either way', (t) => {
  const request = signRequest(native, identity, body, context);
  for (const skewMs of [-STALE_MS, 0, STALE_MS]) {
    const nowMs = context.nowMs + skewMs;
    t.true(verifyRequest(native, request, { ...context, nowMs }).ok);
  }
  for (const skewMs of [-STALE_MS - 1, STALE_MS + 1]) {
    const nowMs = context.nowMs + skewMs;
    const verified = verifyRequest(native, request, { ...context, nowMs });
    t.deepEqual(verified, { ok: false, reason: 'request-stale' });
  }
});

test('a request serves one controller', (t) => {
  const request = signRequest(native, identity, body, context);
  const verified = verifyRequest(native, request, { ...context, catalogUrl: 'http://other/' });
  t.deepEqual(verified, { ok: false, reason: 'catalog-foreign' });
});

test('the spelling of a catalog URL does not matter', (t) => {
  const spellings = ['', '/', '/panoramix', '/panoramix/', '//'];
  for (const end of spellings) t.is(catalogUrlOf(`http://Host:80${end}`), 'http://host/');
  t.is(catalogUrlOf('https://host/mix/panoramix'), 'https://host/mix/');
  t.throws(() => catalogUrlOf('host'));
});

test('who signs a proposal has never signed a request, whatever its author put into it', (t) => {
  const request = signRequest(native, identity, body, context);
  const { signature: _, ...requestMeta } = request.meta;
  const trap = canonicalText({ ...request, meta: requestMeta });
  t.is(parseContributionText(trap), null);

  const proposal = {
    data: body.data,
    info: body.info,
    meta: {
      accept: true,
      signers: [],
      negotiation_id: 'n'.repeat(43),
      round: 0,
      time: new Date(context.nowMs).toISOString(),
      nonce: 'abcdefghij',
      key_data: identity.peerId,
      catalog_url: context.catalogUrl,
    },
  };
  const text = contributionText(proposal);
  t.is(parseContributionText(text), null);
  const signature = signText(native, identity, text);
  const asRequest = { ...proposal, meta: { ...proposal.meta, signature } };
  const verified = verifyRequest(native, asRequest, context);
  t.deepEqual(verified, { ok: false, reason: 'request-malformed' });
});

function meta(change: object): Alter {
  return (request) => ({ ...request, meta: { ...request['meta'], ...change } });
}
