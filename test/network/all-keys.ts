/**
 * What nobody has in a mixnet: the keys of all nodes at once. With them a test says of every packet that
 * came to a node which packet must leave it, byte for byte, and where packets end.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, fromBase64url, fromHex, toBase64url, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { buildAck, replyBlockOf } from '../../src/mixnet/ack.ts';
import { destinationOf } from '../../src/mixnet/cover.ts';
import type { Directory, DirectoryNode } from '../../src/mixnet/directory.ts';
import { decodeFragment } from '../../src/mixnet/fragment.ts';
import { geometryOf, type Geometry } from '../../src/mixnet/geometry.ts';
import { readNodes } from '../../src/mixnet/verify-nodes.ts';
import { createSphinx, type Sphinx } from '../../src/sphinx/index.ts';
import type { RealMixnet } from './real-mixnet.ts';

/** What a node must make of one packet. */
export type Fate =
  /** Post these bytes to that node; `why`: it relays, or answers what ended here. */
  | {
      readonly kind: 'onward';
      readonly why: 'relay' | 'mail' | 'cover';
      readonly to: string;
      readonly text: string;
      /** Which part of which mail; null for all else. */
      readonly part: string | null;
    }
  /** Post nothing: an answer or a loop that is back, or what cannot be opened. */
  | { readonly kind: 'end'; readonly why: 'reply' | 'dropped' };

/** Every node of a mixnet with its secrets, by the names of the demo. */
export class AllKeys {
  readonly directory: Directory;
  readonly sphinx: Sphinx;
  readonly geometry: Geometry;
  readonly #names = new Map<string, string>();
  readonly #secrets = new Map<string, Uint8Array>();

  constructor({ mixnet }: RealMixnet) {
    const path = join(mixnet.gateway('alpha').nodeDataDir, 'directory.json');
    const json = JSON.parse(readFileSync(path, 'utf8')) as { mixnet: string };
    const read = readNodes(json, json.mixnet, native);
    if (!read.ok) throw new Error(read.reason);
    this.directory = read.directory;
    this.sphinx = createSphinx(read.directory.params, native);
    this.geometry = geometryOf(this.sphinx);
    for (const { name, nodeDataDir } of mixnet.peers) {
      this.#names.set(readOrCreateIdentity(nodeDataDir, native).peerId, name);
      const folder = join(nodeDataDir, 'endpoints');
      const file = readdirSync(folder).find((each) => each.endsWith('.secret.json')) ?? '';
      const keys = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { mix_secret: string };
      this.#secrets.set(name, fromHex(keys.mix_secret) as Uint8Array);
    }
  }

  /** The entry of the directory for a name. */
  node(name: string): DirectoryNode {
    const node = this.directory.nodes.find(({ peerId }) => this.nameOf(peerId) === name);
    if (!node) throw new Error(`no node is called ${name}`);
    return node;
  }

  nameOf(peerId: string): string {
    return this.#names.get(peerId) ?? 'a stranger';
  }

  /** The replay tag of a packet at a node, 16 bytes. */
  tag(name: string, text: string): Uint8Array {
    const packet = fromBase64url(text) ?? new Uint8Array();
    const peeled = this.sphinx.peelHeader(this.#secrets.get(name) as Uint8Array, packet);
    if (peeled.kind === 'drop') throw new Error(peeled.reason);
    return peeled.tag;
  }

  /** What the node of this name must make of a packet, given as a message's text. */
  fate(name: string, text: string): Fate {
    const { sphinx, geometry } = this;
    const packet = fromBase64url(text);
    const peeled = sphinx.peel(this.#secrets.get(name) as Uint8Array, packet ?? new Uint8Array());
    if (peeled.kind === 'drop') return { kind: 'end', why: 'dropped' };
    const { routing } = peeled;
    if (routing.kind === 'relay') return this.#onward('relay', routing.address, peeled.out);
    if (routing.kind !== 'deliver') return { kind: 'end', why: 'reply' };
    const payload = sphinx.openForward(peeled.macKey, peeled.delta);
    const destination = 'dest' in payload ? destinationOf(payload.dest) : null;
    if (!('dest' in payload) || destination === null) return { kind: 'end', why: 'dropped' };
    const ack = buildAck(sphinx, replyBlockOf(payload.message, geometry), 'kept');
    if (ack === null) return { kind: 'end', why: 'dropped' };
    if (destination === 'cover') return this.#onward('cover', ack.next, ack.packet);
    const fragment = decodeFragment(payload.message, geometry);
    const part = fragment && `${toHex(fragment.messageId)} ${fragment.index}`;
    return this.#onward('mail', ack.next, ack.packet, part);
  }

  #onward(
    why: 'relay' | 'mail' | 'cover',
    address: Uint8Array,
    packet: Uint8Array,
    part: string | null = null,
  ): Fate {
    const next = this.directory.nodes.find(({ endpoints }) =>
      endpoints.some((endpoint) => equalBytes(endpoint.address, address)),
    );
    if (!next) return { kind: 'end', why: 'dropped' };
    return { kind: 'onward', why, to: this.nameOf(next.peerId), text: toBase64url(packet), part };
  }
}
