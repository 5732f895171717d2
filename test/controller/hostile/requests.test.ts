/** Signed requests that are not, or not by whom, when and for what they say: at every door. */
import test from 'ava';
import { canonicalText } from '../../../src/api/canonical.ts';
import { STALE_MS, type SignedRequest } from '../../../src/api/signed.ts';
import { fromUtf8, toBase64url } from '../../../src/bytes.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { type PrivateController, privateController, sharedStore } from '../private-controller.ts';
import { assertOpen, assertRefused, type Door, knock, openDoors, signedAt } from './doors.ts';

const store = sharedStore(test);
const HOUR_MS = 3_600_000;
const stranger = createIdentity(native);

/** What a hostile peer sends instead. */
type Forge = (door: Door, bed: PrivateController) => unknown;

/** Changed after signing: the signature no longer fits. */
const altered =
  (alter: (request: SignedRequest) => object): Forge =>
  (door, bed) =>
    alter(signedAt(bed, door));

const metaAltered = (meta: object): Forge =>
  altered((request) => ({ ...request, meta: { ...request.meta, ...meta } }));

/** Changed before signing: the signature fits, and the key is the door's own. */
const signedWith =
  (change: (request: SignedRequest) => object): Forge =>
  (door, bed) =>
    resigned(door.identity, change(signedAt(bed, door)));

const metaSigned = (meta: object): Forge =>
  signedWith((request) => ({ ...request, meta: { ...request.meta, ...meta } }));

/** Signs whatever it is given, as a client of ours never would. */
function resigned(identity: Identity, request: object): object {
  const { meta = {} } = request as { meta?: object };
  const { signature: _, ...rest } = meta as { signature?: unknown };
  const text = canonicalText({ ...request, meta: rest });
  const signature = toBase64url(native.sign(identity.secret, fromUtf8(text)));
  return { ...request, meta: { ...rest, signature } };
}

function without(object: object, key: string): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
}

const flipped = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);

const rows: readonly (readonly [string, Forge, ErrorCode])[] = [
  ['no meta', altered((all) => without(all, 'meta')), 'request-malformed'],
  ['a meta that is a list', altered((all) => ({ ...all, meta: [all.meta] })), 'request-malformed'],
  [
    'no signature',
    altered((all) => ({ ...all, meta: without(all.meta, 'signature') })),
    'signature-missing',
  ],
  ['a null signature', metaAltered({ signature: null }), 'signature-missing'],
  ['a signature that is a list', metaAltered({ signature: [] }), 'signature-missing'],
  [
    'no key',
    altered((all) => ({ ...all, meta: without(all.meta, 'key_data') })),
    'signature-missing',
  ],
  ['a key that is a number', metaAltered({ key_data: 7 }), 'signature-missing'],
  ['an empty signature', metaAltered({ signature: '' }), 'signature-invalid'],
  ['a signature of zeros', metaAltered({ signature: 'A'.repeat(86) }), 'signature-invalid'],
  [
    'a signature of one other bit',
    altered((all) => ({
      ...all,
      meta: { ...all.meta, signature: flipped(all.meta.signature) },
    })),
    'signature-invalid',
  ],
  [
    'a signature cut short',
    altered((all) => ({ ...all, meta: { ...all.meta, signature: all.meta.signature.slice(1) } })),
    'signature-invalid',
  ],
  [
    'a signature with padding',
    altered((all) => ({ ...all, meta: { ...all.meta, signature: `${all.meta.signature}==` } })),
    'signature-invalid',
  ],
  [
    'a signature by another key',
    (door, bed) => ({
      ...signedAt(bed, door),
      meta: {
        ...signedAt(bed, door).meta,
        signature: signedAt(bed, door, {}, door.body, stranger).meta.signature,
      },
    }),
    'signature-invalid',
  ],
  [
    'another key beside a true signature',
    metaAltered({ key_data: stranger.peerId }),
    'signature-invalid',
  ],
  ['a key that is no point', metaAltered({ key_data: 'f'.repeat(64) }), 'signature-invalid'],
  ['a key of zeros', metaAltered({ key_data: '0'.repeat(64) }), 'signature-invalid'],
  [
    'a key in capitals',
    altered((all) => ({
      ...all,
      meta: { ...all.meta, key_data: all.meta.key_data.toUpperCase() },
    })),
    'signature-invalid',
  ],
  ['data changed afterwards', altered((all) => ({ ...all, data: {} })), 'signature-invalid'],
  [
    'info changed afterwards',
    altered((all) => ({ ...all, info: { ...all.info, operation: 'delete' } })),
    'signature-invalid',
  ],
  [
    'a consensus put in afterwards',
    altered((all) => ({
      ...all,
      by_consensus: { consensus_id: '7'.repeat(64), consensus_type: 'structural' },
    })),
    'signature-invalid',
  ],
  [
    'a time moved afterwards',
    metaAltered({ time: '2026-01-01T00:00:00.000Z' }),
    'signature-invalid',
  ],
  ['a field added afterwards', altered((all) => ({ ...all, more: 1 })), 'signature-invalid'],

  ['a clock that is an hour slow', clock(-HOUR_MS), 'request-stale'],
  ['a clock that is an hour fast', clock(HOUR_MS), 'request-stale'],
  ['a clock that is a second too slow', clock(-STALE_MS - 1_000), 'request-stale'],
  ['a clock that is two seconds too fast', clock(STALE_MS + 2_000), 'request-stale'],
  ['a time in 1970', metaSigned({ time: '1970-01-01T00:00:00.000Z' }), 'request-stale'],
  ['another controller', catalog('http://127.0.0.1:1/'), 'catalog-foreign'],
  ['an empty catalog URL', catalog(''), 'catalog-foreign'],

  ['a time that is none', metaSigned({ time: 'yesterday' }), 'request-malformed'],
  [
    'a time in another zone',
    metaSigned({ time: '2026-01-01T00:00:00+01:00' }),
    'request-malformed',
  ],
  ['a time as a number', metaSigned({ time: 1e12 }), 'request-malformed'],
  [
    'no time',
    signedWith((all) => ({ ...all, meta: without(all.meta, 'time') })),
    'request-malformed',
  ],
  [
    'no catalog URL',
    signedWith((all) => ({ ...all, meta: without(all.meta, 'catalog_url') })),
    'request-malformed',
  ],
  [
    'no nonce',
    signedWith((all) => ({ ...all, meta: without(all.meta, 'nonce') })),
    'request-malformed',
  ],
  ['an empty nonce', metaSigned({ nonce: '' }), 'request-malformed'],
  ['a nonce of a megabyte', metaSigned({ nonce: 'n'.repeat(100_000) }), 'request-malformed'],
  ['a meta with something more', metaSigned({ accept: true }), 'request-malformed'],
  ['something more beside data', signedWith((all) => ({ ...all, more: 1 })), 'request-malformed'],
  ['no info', signedWith((all) => without(all, 'info')), 'request-malformed'],
  ['an info that is null', signedWith((all) => ({ ...all, info: null })), 'request-malformed'],
  [
    'an info with something more',
    signedWith((all) => ({ ...all, info: { ...all.info, more: 1 } })),
    'request-malformed',
  ],
  [
    'another resource',
    signedWith((all) => ({ ...all, info: { ...all.info, resource: 'mixnet' } })),
    'request-malformed',
  ],
  [
    'another operation',
    signedWith((all) => ({ ...all, info: { ...all.info, operation: 'delete' } })),
    'request-malformed',
  ],
  [
    'a last consensus that is no hash',
    signedWith((all) => ({ ...all, info: { ...all.info, on_last_consensus_id: 'x' } })),
    'request-malformed',
  ],
  [
    'a consensus that is no object',
    signedWith((all) => ({ ...all, by_consensus: 'x' })),
    'request-malformed',
  ],
  [
    'a consensus of another type',
    signedWith((all) => ({
      ...all,
      by_consensus: { consensus_id: '7'.repeat(64), consensus_type: 'verbal' },
    })),
    'request-malformed',
  ],
  [
    'a part that is none',
    signedWith((all) => ({
      ...all,
      by_consensus: {
        consensus_id: '7'.repeat(64),
        consensus_type: 'structural',
        consensus_part: -1,
      },
    })),
    'request-malformed',
  ],
  ['no data', signedWith((all) => without(all, 'data')), 'request-malformed'],
];

function clock(byMs: number): Forge {
  return (door, bed) => signedAt(bed, door, { nowMs: bed.now() + byMs });
}

function catalog(catalogUrl: string): Forge {
  return (door, bed) => signedAt(bed, door, { catalogUrl });
}

for (const [what, forge, reason] of rows) {
  test(`a request with ${what} is refused at every door as ${reason}`, async (t) => {
    const bed = await privateController(t, store());
    const doors = await openDoors(bed);
    for (const door of doors) {
      const answer = await knock(bed, door, JSON.stringify(forge(door, bed)));
      assertRefused(t, bed, answer, { reason, what: door.name });
    }
    await assertOpen(t, bed, doors);
  });
}

test('a request that would pass at one door is refused at every other', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    for (const other of doors) {
      if (other === door) continue;
      const answer = await knock(bed, other, JSON.stringify(signedAt(bed, door)));
      const what = `${door.name} at ${other.name}`;
      assertRefused(t, bed, answer, { reason: 'request-malformed', what });
    }
  }
  await assertOpen(t, bed, doors);
});

test('what a peer signed as a contribution is no request, at any door', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    const meta = { accept: true, signers: [], negotiation_id: 'N'.repeat(43), round: 1 };
    const contribution = resigned(door.identity, { ...door.body, meta });
    const answer = await knock(bed, door, JSON.stringify(contribution));
    assertRefused(t, bed, answer, { reason: 'signature-missing', what: door.name });
  }
});

test('a request that waited until it was stale is refused, and the next one is taken', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  const early = doors.map((door) => JSON.stringify(signedAt(bed, door)));
  bed.skew(HOUR_MS);
  for (const [index, door] of doors.entries()) {
    const answer = await knock(bed, door, early[index] ?? '');
    assertRefused(t, bed, answer, { reason: 'request-stale', what: door.name });
  }
  await assertOpen(t, bed, doors);
});
