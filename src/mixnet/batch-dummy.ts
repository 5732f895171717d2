/**
 * Dummies of an owner (design §7): packets that only their maker knows from others, until he shows how
 * they were made. They fill a cycle that has waited long enough, and tell their maker whether the
 * links passed on what they took. Each follows from order key, cycle and number, so that nothing about
 * them has to be kept, and a repeat after a crash posts the very same message.
 */
import { concat, fromHex, fromUtf8, toBase64url, toHex } from '../bytes.ts';
import { identityFromSecret, type Identity } from '../crypto/keys.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import type { Hop, Sphinx } from '../sphinx/index.ts';
import { batchRandom } from './batch-random.ts';

const NONCE_BYTES = 32;
const SERIAL_BYTES = 16;

/** A dummy, ready to be posted by a key that nobody knows. */
export interface Dummy {
  /** 64 hex digits; shown when the cycle has ended. */
  readonly nonce: string;
  /** What it carries: 32 bytes that look like chance. */
  readonly message: Uint8Array;
  /** Who posts it: a fresh key, for the owner's own would tell it from what users send. */
  readonly sender: Identity;
  /** Base64url of the packet. */
  readonly text: string;
  readonly serial: string;
}

/** What a dummy is made for. */
export interface DummyPlace {
  readonly sphinx: Sphinx;
  readonly primitives: Primitives;
  /** Order key of the maker, 32 bytes. */
  readonly orderKey: Uint8Array;
  /** Of the cycle that it goes into. */
  readonly endpointId: string;
  readonly hops: readonly Hop[];
  /** Peer id to whom it goes, as what users send: the mixnet's own. */
  readonly recipient: string;
}

/** The `number`-th dummy of an owner in a cycle. */
export function makeDummy(place: DummyPlace, number: number): Dummy {
  const { sphinx, primitives, orderKey, endpointId, hops, recipient } = place;
  const context = `${endpointId}/${number}`;
  const random = batchRandom(primitives, orderKey, 'batchDummy', context);
  const nonce = toHex(random(NONCE_BYTES));
  const sender = identityFromSecret(primitives, random(32));
  const serial = toHex(random(SERIAL_BYTES));
  const message = dummyMessage(primitives, endpointId, nonce);
  const packet = sphinx.build(hops, fromHex(recipient) as Uint8Array, message, random);
  return { nonce, message, sender, text: toBase64url(packet), serial };
}

/**
 * What a dummy of a cycle carries. Nobody can show a nonce for a message that somebody else sent: so
 * an owner cannot have a user's message taken for a dummy.
 */
export function dummyMessage(
  primitives: Primitives,
  endpointId: string,
  nonce: string,
): Uint8Array {
  return primitives.sha256(
    concat(fromUtf8(LABELS.batchDummyMessage), primitives.sha256(fromUtf8(endpointId))),
    fromHex(nonce) ?? new Uint8Array(0),
  );
}

/** The texts of a cycle's dummies in the OUTBOX, by the nonces that their makers have shown. */
export function dummyTexts(
  primitives: Primitives,
  endpointId: string,
  nonces: readonly string[],
): ReadonlySet<string> {
  return new Set(nonces.map((nonce) => toBase64url(dummyMessage(primitives, endpointId, nonce))));
}

/** How many dummies an owner adds at one look at a cycle that has waited long enough: his share of what is missing. */
export function dummiesToAdd(present: number, sizeMin: number, owners: number): number {
  return Math.ceil(Math.max(0, sizeMin - present) / owners);
}
