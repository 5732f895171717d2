/**
 * What Redis may know of a packet or a mail: a keyed hash as its name, and sealed bytes. The storage key
 * lies in a file, never in Redis: destroying the file ends what any append-only file or backup can tell.
 */
import { fromUtf8, toHex } from '../bytes.ts';
import { LABELS } from '../crypto/primitives.ts';
import type { Primitives } from '../crypto/primitives.ts';

/** Names and seals under one storage key. */
export interface Sealing {
  /** 32 hex digits that name the bytes: the same for the same bytes, and nothing without the key. */
  nameOf(bytes: Uint8Array): string;
  /** @param context what the bytes are and where they belong; needed again to open them */
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** Null where anything was changed, or the key is another. */
  unseal(sealed: Uint8Array, context: string): Uint8Array | null;
}

/** Bytes of a name: 128 bits never collide by chance, and nobody without the key can make them. */
const NAME_BYTES = 16;

/** @param storageKey 32 bytes */
export function createSealing(primitives: Primitives, storageKey: Uint8Array): Sealing {
  const nameKey = primitives.hmacSha256(storageKey, fromUtf8(LABELS.storageName));
  const sealKey = primitives.hmacSha256(storageKey, fromUtf8(LABELS.storageSeal));
  return {
    nameOf: (bytes) => toHex(primitives.hmacSha256(nameKey, bytes).subarray(0, NAME_BYTES)),
    seal: (plain, context) => primitives.seal(sealKey, plain, fromUtf8(context)),
    unseal: (sealed, context) => primitives.unseal(sealKey, sealed, fromUtf8(context)),
  };
}

/** Storage keys by endpoint: 32 bytes, or null where the endpoint's key has been destroyed. */
export type StorageKeys = (endpointId: string) => Uint8Array | null;

/** The sealing of each endpoint, made once, and gone with its key. */
export function createSealings(
  primitives: Primitives,
  storageKeys: StorageKeys,
): { of(endpointId: string): Sealing | null; forget(endpointId: string): void } {
  const known = new Map<string, Sealing>();
  return {
    of: (endpointId) => {
      const key = storageKeys(endpointId);
      if (key === null) {
        known.delete(endpointId);
        return null;
      }
      const found = known.get(endpointId);
      if (found !== undefined) return found;
      const sealing = createSealing(primitives, key);
      known.set(endpointId, sealing);
      return sealing;
    },
    forget: (endpointId) => void known.delete(endpointId),
  };
}
