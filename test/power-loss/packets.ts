/**
 * What controllers have taken, as the doors in front of them see it: which packets nodes had last, and how often each
 * packet was posted. From these old packets are given again after a power cut: a node that has forgotten
 * one would pass it on a second time.
 */
import { createHash } from 'node:crypto';
import { toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { AllKeys } from '../network/all-keys.ts';
import type { DooredMixnet } from '../network/hostile-inbox.ts';

/** Of each node, for a look back over some seconds. */
const LAST = 512;
/**
 * A post is repeated after a cut, under its number, where its record was not yet removed: what follows an old packet
 * must have been posted so long ago that it has no record any more.
 */
const POSTED_BEFORE_MS = 2_000;

/** A packet that a node had, and what it made of it: the name of the post that followed. */
export interface OldPacket {
  readonly node: string;
  readonly text: string;
  readonly followed: string;
}

interface Post {
  readonly serials: Set<string>;
  attempts: number;
  /** `performance.now()` of the last. */
  atMs: number;
}

interface Had {
  readonly text: string;
  readonly atMs: number;
}

export class Packets {
  readonly #net: DooredMixnet;
  readonly #keys: AllKeys;
  readonly #last = new Map<string, Had[]>();
  /** Of what was given again here: no node posted that. */
  readonly #ownSerials = new Set<string>();
  /** By sender, receiver and hash. */
  readonly #posts = new Map<string, Post>();

  constructor(net: DooredMixnet) {
    this.#net = net;
    this.#keys = new AllKeys(net.real);
    for (const [node, door] of net.doors) {
      const had: Had[] = [];
      this.#last.set(node, had);
      door.onTaken = ({ sender, text, serial }) => {
        if (this.#ownSerials.has(serial)) return;
        const name = nameOf(this.#keys.nameOf(sender), node, text);
        const post = this.#posts.get(name) ?? { serials: new Set(), attempts: 0, atMs: 0 };
        post.serials.add(serial);
        post.attempts++;
        post.atMs = performance.now();
        this.#posts.set(name, post);
        // A repeat of a post is the same packet, not an old one.
        if (post.attempts === 1) had.push({ text, atMs: post.atMs });
        if (had.length > LAST) had.shift();
      };
    }
  }

  /** The last packets of each node, at most `count`, of which what had to follow was posted a while ago. */
  settled(count: number): OldPacket[] {
    const latestMs = performance.now() - POSTED_BEFORE_MS;
    return [...this.#last].flatMap(([node, had]) => {
      const old: OldPacket[] = [];
      for (const { text } of had.filter(({ atMs }) => atMs < latestMs).toReversed()) {
        if (old.length === count) break;
        const fate = this.#keys.fate(node, text);
        if (fate.kind === 'end') continue;
        const followed = nameOf(node, fate.to, fate.text);
        if ((this.#posts.get(followed)?.atMs ?? Infinity) < latestMs) {
          old.push({ node, text, followed });
        }
      }
      return old;
    });
  }

  /** How often what followed was posted, all together. */
  attempts(old: readonly OldPacket[]): number[] {
    return old.map(({ followed }) => this.#posts.get(followed)?.attempts ?? 0);
  }

  /** Posts each again, under a serial of its own, as another node would that has recorded it. */
  async postAgain(old: readonly OldPacket[]): Promise<void> {
    for (const { node, text } of old) {
      const poster = this.#net.real.mixnet.peers.find(({ name }) => name !== node);
      const identity = readOrCreateIdentity(poster?.nodeDataDir ?? '', native);
      const { controllerUrl, peerId, endpoints } = this.#keys.node(node);
      const client = new ControllerClient({ url: controllerUrl, identity, primitives: native });
      const serial = toHex(native.random(16));
      this.#ownSerials.add(serial);
      const endpointId = endpoints[0]?.endpointId as string;
      await client.postMessage({ endpointId, recipient: peerId, text, serial });
    }
  }

  /** Packets of nodes that a controller has twice: the same bytes under two serials. */
  storedTwice(): string[] {
    return [...this.#posts].flatMap(([name, { serials }]) => (serials.size > 1 ? [name] : []));
  }
}

function nameOf(from: string, to: string, text: string): string {
  return `${from}>${to} ${hashOf(text)}`;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
