/**
 * Keeps the books of a mixnet from outside: for each packet that a controller has taken for a watched node
 * the one that must leave it, and what has left. Two posts of the same bytes with the same serial
 * are one, for a controller stores them once.
 */
import { createHash } from 'node:crypto';
import type { AllKeys } from './all-keys.ts';
import type { Door, Posted } from './hostile-inbox.ts';

/** A packet that must leave a node. */
export interface Owed {
  readonly from: string;
  readonly to: string;
  /** Of its text. */
  readonly hash: string;
  readonly why: 'relay' | 'mail' | 'cover';
}

/** A packet that a controller has taken for a watched node. */
export interface Taken {
  readonly from: string;
  readonly node: string;
  readonly text: string;
  /** What must come of it; null where nothing is to leave. */
  readonly owed: Owed | null;
}

/** A packet that a node has posted although nothing that it was given leads to it. */
export interface OwnPacket {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

interface Post {
  readonly serials: Set<string>;
  attempts: number;
}

export class Ledger {
  readonly #keys: AllKeys;
  readonly #watched: ReadonlySet<string>;
  /** By sender, receiver and hash. */
  readonly #posts = new Map<string, Post>();
  readonly #owed = new Map<string, Owed>();
  /** What watched nodes have posted, each once. */
  readonly #sent: (OwnPacket & { readonly name: string })[] = [];
  /** What came to watched nodes, in order. */
  readonly taken: Taken[] = [];

  /** @param watched names of nodes whose packets are all opened */
  constructor(keys: AllKeys, doors: ReadonlyMap<string, Door>, watched: readonly string[]) {
    this.#keys = keys;
    this.#watched = new Set(watched);
    for (const [name, door] of doors) door.onTaken = (posted) => this.#note(name, posted);
  }

  /** What must leave the watched nodes, as far as they have been given it. */
  owed(): readonly Owed[] {
    return [...this.#owed.values()];
  }

  /** Of these, what has not left. */
  missing(owed: readonly Owed[]): readonly Owed[] {
    return owed.filter((one) => !this.#posts.has(nameOf(one)));
  }

  /** How often what is owed was posted, repeats of one post counted too. */
  attempts(owed: Owed): number {
    return this.#posts.get(nameOf(owed))?.attempts ?? 0;
  }

  /** Packets of a node that a controller now has twice: the same bytes under two serials. */
  storedTwice(node: string): readonly string[] {
    return [...this.#posts]
      .filter(([name, { serials }]) => name.startsWith(`${node}>`) && serials.size > 1)
      .map(([name]) => name);
  }

  /**
   * What a node posted of its own. Looked up when asked for: where a poster died over its request, the packet
   * that led to what a node posted is noted with the next try only.
   */
  own(node: string): readonly OwnPacket[] {
    return this.#sent.filter(({ from, name }) => from === node && !this.#owed.has(name));
  }

  /** Where a packet of a node's own ends, `reply at alpha` or `mail at beta`, and with which part of a mail. */
  endOf({ to, text }: OwnPacket): { readonly end: string; readonly part: string | null } {
    let [at, bytes] = [to, text];
    for (;;) {
      const fate = this.#keys.fate(at, bytes);
      if (fate.kind === 'end') return { end: `${fate.why} at ${at}`, part: null };
      if (fate.why !== 'relay') return { end: `${fate.why} at ${at}`, part: fate.part };
      [at, bytes] = [fate.to, fate.text];
    }
  }

  #note(to: string, { sender, text, serial }: Posted): void {
    const from = this.#keys.nameOf(sender);
    const hash = createHash('sha256').update(text).digest('base64url');
    const name = nameOf({ from, to, hash });
    const post = this.#posts.get(name) ?? { serials: new Set<string>(), attempts: 0 };
    post.serials.add(serial);
    post.attempts++;
    this.#posts.set(name, post);
    if (post.attempts > 1) return;
    if (this.#watched.has(from)) this.#sent.push({ from, to, text, name });
    if (!this.#watched.has(to)) return;
    const owed = this.#owe(to, text);
    this.taken.push({ from, node: to, text, owed });
  }

  #owe(node: string, text: string): Owed | null {
    const fate = this.#keys.fate(node, text);
    if (fate.kind === 'end') return null;
    const hash = createHash('sha256').update(fate.text).digest('base64url');
    const owed = { from: node, to: fate.to, hash, why: fate.why };
    this.#owed.set(nameOf(owed), owed);
    return owed;
  }
}

function nameOf({ from, to, hash }: { from: string; to: string; hash: string }): string {
  return `${from}>${to} ${hash}`;
}
