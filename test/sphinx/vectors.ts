/** The reference implementation's vectors (test/vectors/README.md), and bytes from them. */

import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import type { GroupName, Random } from '../../src/crypto/primitives.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import type { Hop, Sphinx } from '../../src/sphinx/index.ts';

export interface VectorPacket {
  readonly alpha: string;
  readonly beta: string;
  readonly gamma: string;
  readonly delta: string;
}

export interface Vector {
  readonly group: GroupName;
  readonly header_len: number;
  readonly body_len: number;
  readonly kind: 'forward' | 'surb';
  readonly hops: readonly {
    readonly routing: string;
    readonly secret: string;
    readonly public: string;
  }[];
  readonly dest: string;
  readonly message: string;
  readonly payload_encoded: string;
  readonly final_routing: string;
  readonly randomness: readonly string[];
  readonly packet: VectorPacket;
  readonly surb: VectorPacket & {
    readonly id: string;
    readonly keytuple: readonly string[];
    readonly first: string;
    readonly ktilde: string;
  };
  readonly steps: readonly {
    readonly tag: string;
    readonly routing: string;
    readonly mac_key: string;
    readonly out: VectorPacket;
  }[];
}

const file = new URL('../vectors/sphinxmix.json', import.meta.url);

export const vectors = (JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] }).vectors;

/** Both sets of primitives: every test of the format runs on each. */
export const primitiveSets = [portable, native];

/** Every vector with every set, and a title that tells them apart. */
export const cases = vectors.flatMap((vector, i) =>
  primitiveSets.map((primitives) => ({
    vector,
    primitives,
    title: `vector ${i} (${vector.group}, ${vector.kind}, ${vector.hops.length} hops, ${primitives.name})`,
    sphinx: createSphinx(
      { group: vector.group, headerLen: vector.header_len, bodyLen: vector.body_len },
      primitives,
    ),
  })),
);

/** Bytes of hex that is known to be hex. */
export function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === null) throw new Error(`not hex: ${hex}`);
  return value;
}

export function packetHex(packet: VectorPacket): string {
  return packet.alpha + packet.beta + packet.gamma + packet.delta;
}

export function hopsOf(vector: Vector): Hop[] {
  return vector.hops.map((hop) => ({ routing: bytes(hop.routing), publicKey: bytes(hop.public) }));
}

/** Gives out recorded randomness in order, and refuses to give any other length. */
export function recordedRandom(strings: readonly string[]): Random {
  const rest = strings.map(bytes);
  return (byteLength) => {
    const next = rest.shift();
    if (next?.length !== byteLength) throw new Error(`drew ${byteLength} of ${next?.length}`);
    return next;
  };
}

/** A copy with one bit of the byte at `offset` changed. */
export function flipped(value: Uint8Array, offset: number, mask = 1): Uint8Array {
  const copy = Uint8Array.from(value);
  copy[offset] = (copy[offset] as number) ^ mask;
  return copy;
}

/** Fresh hops of a packet's group, with their secrets, whose routings are those of our mixes. */
export function freshPath(
  sphinx: Sphinx,
  primitives: (typeof primitiveSets)[number],
  routings: readonly Uint8Array[],
): (Hop & { readonly secret: Uint8Array })[] {
  const group = primitives.group(sphinx.params.group);
  return routings.map((routing) => {
    const secret = primitives.random(group.secretBytes);
    return { routing, secret, publicKey: group.publicKey(secret) };
  });
}
