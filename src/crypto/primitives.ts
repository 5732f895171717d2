/**
 * What the packet format and the API need from cryptography, and nothing more. Two sets stand behind
 * it, `portable.ts` (any JavaScript engine) and `native.ts` (Node); both answer every call alike, byte
 * for byte, seal and sign apart where randomness is drawn.
 */

/**
 * One table of labels: whatever is hashed or sealed for a purpose of ours starts with its label, so
 * that bytes made for one purpose mean nothing for another. One key, one purpose. (The packet itself
 * keeps the reference implementation's labels: `sphinx/derive.ts`.)
 */
export const LABELS = {
  /** Hashed with peer id and mix key into the 16-byte address that a packet carries. */
  nodeAddress: 'panoramix/v1/node-address',
  /** Stands before the canonical text of a node's entry in the directory when the node signs it. */
  directoryEntry: 'panoramix/v1/directory-entry',
  /** Signed by the entry gateway together with a mail's envelope. */
  envelope: 'panoramix/v1/envelope',
  /** Hashed, under the storage key, with a record's id into the serial that its packet is posted with. */
  postSerial: 'panoramix/v1/post-serial',
  /** Hashed, under the gateway's id key, with queue id, content and recipients into a mail's message id. */
  mailId: 'panoramix/v1/mail-id',
  /** Hashed, under the same key, with queue id, content and one recipient: what has been re-injected. */
  passedId: 'panoramix/v1/passed-id',
  /** Hashed under an exit's return key: the tag of a return address, and the key that hides its message id. */
  returnTag: 'panoramix/v1/return-tag',
  returnKey: 'panoramix/v1/return-key',
  /** Hashed with a mail's message id and what became of it into the id of the report to its sender. */
  reportId: 'panoramix/v1/report-id',
  /** Makes of a storage key the key that names what is stored, and the key that it is sealed under. */
  storageName: 'panoramix/v1/storage-name',
  storageSeal: 'panoramix/v1/storage-seal',
  /** Under a batch link's order key: the stream that shuffles a cycle, serials, and what dummies are made of. */
  batchOrder: 'panoramix/v1/batch-order',
  batchSerial: 'panoramix/v1/batch-serial',
  batchDummy: 'panoramix/v1/batch-dummy',
  /** Hashed with endpoint id and nonce into a dummy's message: who shows the nonce shows that it was one. */
  batchDummyMessage: 'panoramix/v1/batch-dummy-message',
} as const satisfies Record<string, `panoramix/v1/${string}`>;

/** That many bytes from a cryptographic random number generator; tests pass recorded ones. */
export type Random = (byteLength: number) => Uint8Array;

/** Groups that a packet's alpha may live in; `P-224` is what D4.2 calls GROUP 713. */
export type GroupName = 'X25519' | 'P-224';

/**
 * The Diffie-Hellman group of a packet. Elements and scalars are byte strings; what a peer sends as an
 * element may be anything at all, and gives null where it is of no use: wrong length, not canonical,
 * off the curve, the identity, or of low order. Own scalars of a wrong length are a RangeError.
 */
export interface Group {
  readonly name: GroupName;
  /** 32 for X25519, 29 for a compressed P-224 point. */
  readonly elementBytes: 32 | 29;
  /** 32 for X25519, 28 for P-224 (big-endian, reduced modulo the group's order). */
  readonly secretBytes: 32 | 28;
  /** The generator times the secret. */
  publicKey(secret: Uint8Array): Uint8Array;
  /** The element times the scalar, as an element; null where the element is of no use. */
  multiply(element: Uint8Array, scalar: Uint8Array): Uint8Array | null;
  /**
   * The element times all scalars, one after the other, in the form that keys are derived from: the
   * 32 bytes of X25519, the 57 bytes of an uncompressed P-224 point. Null as in `multiply`.
   */
  sharedSecret(element: Uint8Array, scalars: readonly Uint8Array[]): Uint8Array | null;
  /** Up to `secretBytes` bytes as a scalar: X25519 pads on the right, P-224 reads big-endian. */
  scalarFrom(bytes: Uint8Array): Uint8Array;
  /** Whether the element may serve as somebody's public key. Check keys from a directory with it. */
  accepts(element: Uint8Array): boolean;
}

/** A set of primitives. Inputs are never changed; outputs are new arrays. */
export interface Primitives {
  readonly name: 'portable' | 'native';
  readonly random: Random;
  /** SHA-256 of the parts, one after the other: 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** HMAC-SHA-256 of the parts, one after the other: 32 bytes. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** AES-128 in counter mode; the 16-byte `iv` is the whole first counter block, big-endian. */
  aes128Ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  group(name: GroupName): Group;
  /** Ed25519 (RFC 8032) with a 32-byte seed: 64 bytes, the same for the same input. */
  sign(secret: Uint8Array, text: Uint8Array): Uint8Array;
  /**
   * Ed25519, strict: canonical encodings only, no low-order key or commitment, the equation without
   * the cofactor. Every node must come to the same answer, so both sets accept exactly the same
   * signatures. Never throws, whatever a peer sends.
   */
  verify(publicKey: Uint8Array, text: Uint8Array, signature: Uint8Array): boolean;
  /** The 32-byte Ed25519 public key of a seed. */
  signingPublicKey(secret: Uint8Array): Uint8Array;
  /**
   * XChaCha20-Poly1305 under a 32-byte key: 24 bytes of fresh random nonce, ciphertext, 16 bytes of
   * tag. `context` is bound but not stored. 192 random bits never repeat in practice, so one key
   * seals any number of records; AES-GCM with its 96 bits would need a count kept across restarts.
   */
  seal(key: Uint8Array, plain: Uint8Array, context: Uint8Array): Uint8Array;
  /** What `seal` was given, or null where anything was changed, the context included. */
  unseal(key: Uint8Array, sealed: Uint8Array, context: Uint8Array): Uint8Array | null;
}

/** Bytes that `seal` adds: nonce 24 + tag 16. */
export const SEAL_OVERHEAD_BYTES = 24 + 16;

/** Nonce of XChaCha20-Poly1305. */
export const SEAL_NONCE_BYTES = 24;

/** Overwrites secrets that are no longer needed; the engine may still hold copies elsewhere. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

/** RangeError, naming the field, where an own value (never a peer's) has the wrong length. */
export function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}`);
  }
}
