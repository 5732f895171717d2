/**
 * What the demo's receiving server has stored so far, held against what was sent.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes } from '../../bytes.ts';
import type { ReceivedEnvelope } from './receiver.ts';

/** One mail as it arrived. */
export interface Arrival extends ReceivedEnvelope {
  readonly data: Uint8Array;
}

/** Reads a receiver's folder again and again; each mail is given once. */
export class Arrivals {
  readonly #folder: string;
  readonly #seen = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Mails that have come since the last call. */
  take(): Arrival[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.eml') && !this.#seen.has(name))
      .toSorted()
      .map((name) => {
        this.#seen.add(name);
        const path = join(this.#folder, name);
        const envelope = JSON.parse(
          readFileSync(path.replace(/eml$/, 'json'), 'utf8'),
        ) as ReceivedEnvelope;
        return { ...envelope, data: readFileSync(path) };
      });
  }
}

/** What became of the mails sent: each is expected once, by a recipient of its own. */
export class Tally {
  readonly #expected = new Map<string, Uint8Array>();
  readonly #arrived = new Map<string, boolean>();
  #twice = 0;

  /** Expects a mail's bytes at a recipient that no other mail has. */
  expect(recipient: string, data: Uint8Array): void {
    this.#expected.set(recipient, data);
  }

  /** Notes an arrival; answers for each of its recipients that was expected whether the bytes agree. */
  note(arrival: Arrival): { readonly recipient: string; readonly exact: boolean }[] {
    return arrival.recipients.flatMap((recipient) => {
      const expected = this.#expected.get(recipient);
      if (!expected) return [];
      if (this.#arrived.has(recipient)) this.#twice++;
      const exact = equalBytes(expected, arrival.data);
      this.#arrived.set(recipient, exact);
      return [{ recipient, exact }];
    });
  }

  get sent(): number {
    return this.#expected.size;
  }

  get delivered(): number {
    return this.#arrived.size;
  }

  get exact(): number {
    return [...this.#arrived.values()].filter(Boolean).length;
  }

  /** Arrivals beyond the first of each. */
  get twice(): number {
    return this.#twice;
  }

  get complete(): boolean {
    return this.delivered === this.sent;
  }

  /** Recipients that still wait. */
  get missing(): string[] {
    return [...this.#expected.keys()].filter((recipient) => !this.#arrived.has(recipient));
  }
}
