/** The part of sodium-native that `native.ts` calls; the package has no types of its own. */
declare module 'sodium-native' {
  const sodium: {
    crypto_scalarmult(product: Uint8Array, scalar: Uint8Array, element: Uint8Array): void;
    crypto_scalarmult_base(product: Uint8Array, scalar: Uint8Array): void;
    crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
    crypto_sign_detached(signature: Uint8Array, text: Uint8Array, secretKey: Uint8Array): void;
    crypto_sign_verify_detached(
      signature: Uint8Array,
      text: Uint8Array,
      publicKey: Uint8Array,
    ): boolean;
    crypto_aead_xchacha20poly1305_ietf_encrypt(
      sealed: Uint8Array,
      plain: Uint8Array,
      context: Uint8Array | null,
      unused: null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;
    crypto_aead_xchacha20poly1305_ietf_decrypt(
      plain: Uint8Array,
      unused: null,
      sealed: Uint8Array,
      context: Uint8Array | null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;
    sodium_memzero(bytes: Uint8Array): void;
  };
  export default sodium;
}
