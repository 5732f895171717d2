/** Reading and releasing without a body (RFC 9421): who has not signed this very request, here and now, gets nothing. */
import test from 'ava';
import { type SignatureFields, signRead } from '../../../src/api/http-signature.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import {
  endpointOf,
  openEndpoint,
  type PrivateController,
  privateController,
  serial,
  sharedStore,
} from '../private-controller.ts';
import { assertRefused } from './doors.ts';

const store = sharedStore(test);
const HOUR_MS = 3_600_000;
const BOX = '?endpoint_id=open&box=INBOX';

interface Wish {
  readonly method: 'GET' | 'DELETE';
  readonly path: string;
  readonly query: string;
}
const WISHES: readonly Wish[] = [
  { method: 'GET', path: '/panoramix/messages', query: BOX },
  { method: 'GET', path: '/panoramix/messages/', query: `${BOX}&after=0&limit=1` },
  { method: 'DELETE', path: '/panoramix/messages', query: `${BOX}&up_to=1` },
];

type Forge = (wish: Wish, owner: Identity, bed: PrivateController) => SignatureFields;

const honest: Forge = (wish, owner, bed) => sign(wish, owner, bed);
const edited =
  (input: (text: string) => string, signature = (text: string) => text): Forge =>
  (wish, owner, bed) => {
    const fields = honest(wish, owner, bed);
    return { signatureInput: input(fields.signatureInput), signature: signature(fields.signature) };
  };
const same = (text: string): string => text;
const other = createIdentity(native);

const rows: readonly (readonly [string, Forge, ErrorCode])[] = [
  ['nothing', () => ({ signatureInput: '', signature: '' }), 'signature-missing'],
  ['no Signature', edited(same, () => ''), 'signature-missing'],
  ['no Signature-Input', edited(() => '', same), 'signature-missing'],
  ['a Signature-Input of noise', edited(() => 'sig1=();;;'), 'signature-missing'],
  [
    'a Signature-Input of 2 kB',
    edited((text) => `${text};a="${'x'.repeat(2000)}"`),
    'signature-missing',
  ],
  ['a Signature of noise', edited(same, () => 'sig1=:****:'), 'signature-missing'],
  ['another label', edited(same, (text) => text.replace('sig1', 'sig2')), 'signature-missing'],
  ['fewer components', edited((text) => text.replace('"@query"', '')), 'signature-missing'],
  ['another tag', edited((text) => text.replace('panoramix', 'other')), 'signature-missing'],
  ['another algorithm', edited((text) => text.replace('ed25519', 'hmac')), 'signature-missing'],
  ['no key', edited((text) => text.replace(/keyid="\w+"/, 'keyid=""')), 'signature-missing'],
  ['a key twice', edited((text) => `${text};keyid="${other.peerId}"`), 'signature-missing'],
  [
    'components in another order',
    edited((text) => text.replace('"@method" "@authority"', '"@authority" "@method"')),
    'signature-invalid',
  ],
  [
    'another key beside a true signature',
    edited((text) => text.replace(/keyid="\w+"/, `keyid="${other.peerId}"`)),
    'signature-invalid',
  ],
  ['a signature of zeros', edited(same, () => `sig1=:${'A'.repeat(86)}==:`), 'signature-invalid'],
  [
    'a time moved afterwards',
    edited((text) => text.replace(/created=\d+/, 'created=1')),
    'signature-invalid',
  ],
  [
    'a signature for another method',
    (wish, owner, bed) =>
      sign({ ...wish, method: wish.method === 'GET' ? 'DELETE' : 'GET' }, owner, bed),
    'signature-invalid',
  ],
  [
    'a signature for another path',
    (wish, owner, bed) => sign({ ...wish, path: '/panoramix/contributions' }, owner, bed),
    'signature-invalid',
  ],
  [
    'a signature for another query',
    (wish, owner, bed) => sign({ ...wish, query: `${BOX}&up_to=0` }, owner, bed),
    'signature-invalid',
  ],
  [
    'a signature for another controller',
    (wish, owner, bed) => sign(wish, owner, bed, { catalogUrl: 'http://127.0.0.1:1/' }),
    'signature-invalid',
  ],
  [
    'a clock that is an hour slow',
    (wish, owner, bed) => sign(wish, owner, bed, { nowMs: bed.now() - HOUR_MS }),
    'request-stale',
  ],
  [
    'a clock that is an hour fast',
    (wish, owner, bed) => sign(wish, owner, bed, { nowMs: bed.now() + HOUR_MS }),
    'request-stale',
  ],
  [
    'the key of somebody who owns nothing here',
    (wish, _, bed) => sign(wish, other, bed),
    'reader-refused',
  ],
];

for (const [what, forge, reason] of rows) {
  test(`who reads or releases with ${what} is refused as ${reason}`, async (t) => {
    const bed = await privateController(t, store());
    const owner = await mixPosition(bed);
    for (const wish of WISHES) {
      const answer = await ask(bed, wish, forge(wish, owner, bed));
      assertRefused(t, bed, answer, { reason, what: wish.method });
    }
    for (const wish of WISHES) {
      const answer = await ask(bed, wish, honest(wish, owner, bed));
      t.is(answer.status, wish.method === 'GET' ? 200 : 204);
      if (wish.method === 'GET') t.is((answer.body as unknown[]).length, 1, 'nothing was released');
    }
  });
}

const queries: readonly (readonly [string, ErrorCode])[] = [
  ['', 'query-malformed'],
  ['?endpoint_id=open', 'query-malformed'],
  ['?box=INBOX', 'query-malformed'],
  ['?endpoint_id=open&box=inbox', 'query-malformed'],
  ['?endpoint_id=open&box=LETTERBOX', 'query-malformed'],
  ['?endpoint_id=OPEN&box=INBOX', 'query-malformed'],
  ['?endpoint_id=op%00en&box=INBOX', 'query-malformed'],
  ['?endpoint_id=*&box=INBOX', 'query-malformed'],
  ['?endpoint_id=nobodys&box=INBOX', 'endpoint-unknown'],
  [`?endpoint_id=${'e'.repeat(5000)}&box=INBOX`, 'query-malformed'],
  [`${BOX}&box=INBOX`, 'query-malformed'],
  [`${BOX}&after=-1`, 'query-malformed'],
  [`${BOX}&after=x`, 'query-malformed'],
  [`${BOX}&after=1.5`, 'query-malformed'],
  [`${BOX}&after=1e400`, 'query-malformed'],
  [`${BOX}&after=9007199254740993`, 'query-malformed'],
  [`${BOX}&limit=0`, 'query-malformed'],
  [`${BOX}&limit=257`, 'query-malformed'],
  [`${BOX}&wait=-1`, 'query-malformed'],
  [`${BOX}&wait=30001`, 'query-malformed'],
  [`${BOX}&wait=Infinity`, 'query-malformed'],
];

for (const [query, reason] of queries) {
  test(`a list with ${query.slice(0, 60) || 'no query'} is refused as ${reason}`, async (t) => {
    const bed = await privateController(t, store());
    const owner = await mixPosition(bed);
    const wish = { method: 'GET', path: '/panoramix/messages', query } as const;
    const answer = await ask(bed, wish, honest(wish, owner, bed));
    assertRefused(t, bed, answer, { reason, what: query });
  });
}

const releases: readonly (readonly [string, ErrorCode])[] = [
  [BOX, 'query-malformed'],
  [`${BOX}&up_to=-1`, 'query-malformed'],
  [`${BOX}&up_to=all`, 'query-malformed'],
  [`${BOX}&up_to=1e400`, 'query-malformed'],
  ['?endpoint_id=open&box=OUTBOX&up_to=1', 'query-malformed'],
  ['?endpoint_id=nobodys&box=INBOX&up_to=1', 'endpoint-unknown'],
  [`${BOX}&up_to=2`, 'last-message-mismatch'],
  [`${BOX}&up_to=9007199254740991`, 'last-message-mismatch'],
];

for (const [query, reason] of releases) {
  test(`a release of ${query.slice(0, 60)} is refused as ${reason}, and releases nothing`, async (t) => {
    const bed = await privateController(t, store());
    const owner = await mixPosition(bed);
    const wish = { method: 'DELETE', path: '/panoramix/messages', query } as const;
    const answer = await ask(bed, wish, honest(wish, owner, bed));
    assertRefused(t, bed, answer, { reason, what: query });
    const [list] = WISHES as [Wish];
    t.is(((await ask(bed, list, honest(list, owner, bed))).body as unknown[]).length, 1);
  });
}

async function mixPosition(bed: PrivateController): Promise<Identity> {
  const [owner, sender] = [await bed.peer(), await bed.peer()];
  const { peerId } = owner.identity;
  await openEndpoint(owner, endpointOf(peerId, 'open'));
  await sender.postMessage({
    endpointId: 'open',
    recipient: peerId,
    text: 'one',
    serial: serial(),
  });
  return owner.identity;
}

function sign(
  wish: Wish,
  identity: Identity,
  bed: PrivateController,
  context: { readonly nowMs?: number; readonly catalogUrl?: string } = {},
): SignatureFields {
  const target = { ...wish, query: wish.query === '' ? '?' : wish.query };
  return signRead(native, identity, target, {
    nowMs: bed.now(),
    catalogUrl: bed.url,
    ...context,
  });
}

async function ask(
  bed: PrivateController,
  { method, path, query }: Wish,
  fields: SignatureFields,
): ReturnType<PrivateController['fetch']> {
  const headers = { 'signature-input': fields.signatureInput, signature: fields.signature };
  return await bed.fetch(`${path}${query}`, { method, headers });
}
