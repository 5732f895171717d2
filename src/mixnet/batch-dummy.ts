/**
 * Dummies of an owner (design §7): packets that only their maker knows from others, until he shows how
 * they were made. They fill a cycle that has waited long enough, and tell their maker whether the
 * links passed on what they took. Each follows from order key, cycle and number, so that nothing about
 * them has to be kept, and a repeat after a crash posts the very same message.
 */
import { concat, fromHex, fromUtf8, toBase64url, toHex } from '../bytes.ts';
import { identityFromSecret, type Identity } from '../crypto/keys.ts';
import { LABELS, type Primitives, type Random } from '../crypto/primitives.ts';
import type { Hop, Sphinx } from '../sphinx/index.ts';
import { batchRandom } from './batch-random.ts';

const NONCE_BYTES = 32;
const SERIAL_BYTES = 16;
const IDENTITY_BYTES = 32;

/** Dummies that one result can show: 67 letters each, in a `process_proof` of 64 kB. */
export const DUMMIES_SHOWN_MAX = 960;

/** What its maker knows a dummy by. */
export interface DummyMark {
  /** 64 hex digits; shown when the cycle has ended. */
  readonly nonce: string;
  /** Who posts it: a fresh key, for the owner's own would tell it from what users send. */
  readonly sender: Identity;
  readonly serial: string;
}

/** A dummy, ready to be posted. */
export interface Dummy extends DummyMark {
  /** Base64url of the packet. */
  readonly text: string;
}

/** Whose dummies, and for what. */
export interface DummySeries {
  readonly primitives: Primitives;
  /** Order key of the maker, 32 bytes. */
  readonly orderKey: Uint8Array;
  readonly endpointId: string;
  /** Consensus id that opened the cycle. */
  readonly opened: string;
}

/** By what the maker finds the `number`-th dummy of a cycle again; cheap. */
export function markDummy(series: DummySeries, number: number): DummyMark {
  return drawMark(series, number).mark;
}

/**
 * The `number`-th dummy of an owner in a cycle.
 * @param recipient peer id to whom it goes, as what users send: the mixnet's own
 */
export function makeDummy(
  series: DummySeries,
  number: number,
  path: { readonly sphinx: Sphinx; readonly hops: readonly Hop[]; readonly recipient: string },
): Dummy {
  const { mark, random } = drawMark(series, number);
  const message = dummyMessage(series.primitives, series.endpointId, mark.nonce);
  const dest = fromHex(path.recipient) as Uint8Array;
  const packet = path.sphinx.build(path.hops, dest, message, random);
  return { ...mark, text: toBase64url(packet) };
}

function drawMark(
  { primitives, orderKey, endpointId, opened }: DummySeries,
  number: number,
): { readonly mark: DummyMark; readonly random: Random } {
  const context = `${endpointId}/${opened}/${number}`;
  const random = batchRandom(primitives, orderKey, 'batchDummy', context);
  const nonce = toHex(random(NONCE_BYTES));
  const sender = identityFromSecret(primitives, random(IDENTITY_BYTES));
  return { mark: { nonce, sender, serial: toHex(random(SERIAL_BYTES)) }, random };
}

/**
 * What a dummy of an endpoint carries: 32 bytes that look like chance. Nobody can show a nonce for a message that somebody else sent: so
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

/** The texts that dummies of an endpoint have in the OUTBOX, by the nonces that their makers have shown. */
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
