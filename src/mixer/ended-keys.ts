/**
 * What is left of a mix key when its secrets are destroyed: tags and records in the store, removed beside the
 * node's turns since that takes seconds, then its endpoint at the controller, then its file.
 */
import { asPanoramixError, type PanoramixError } from '../errors.ts';
import type { Journal } from '../redis/journal.ts';
import { closeStepwise, type EndpointClient } from './endpoint.ts';
import type { EndpointFiles, OwnPosition } from './endpoint-files.ts';

export interface EndedKeysOptions {
  readonly client: EndpointClient;
  readonly files: EndpointFiles;
  readonly journal: Pick<Journal, 'destroy'>;
  /** Whether a position is this peer's on this controller. */
  readonly isOwn: (position: OwnPosition) => boolean;
  readonly say: (error: PanoramixError) => void;
}

export class EndedKeys {
  readonly #options: EndedKeysOptions;
  /** Those whose tags and records are being removed, and those where they are gone. */
  readonly #sweeping = new Map<string, Promise<void>>();
  readonly #swept = new Set<string>();

  constructor(options: EndedKeysOptions) {
    this.#options = options;
  }

  /** Begins to remove the tags and records of destroyed keys, one after the other. */
  sweep(): void {
    for (const { endpointId, endpoint } of this.#options.files.all()) {
      const isDone = this.#swept.has(endpointId) || this.#sweeping.has(endpointId);
      if (endpoint !== null || isDone) continue;
      const sweeping = this.#sweep(endpointId, [...this.#sweeping.values()].at(-1));
      this.#sweeping.set(endpointId, sweeping);
    }
  }

  /** Resolves when what has begun is removed, or has failed. */
  async swept(): Promise<void> {
    await Promise.all(this.#sweeping.values());
  }

  /** What is still to be done for those of which nothing is stored any more. */
  leavings(): readonly (() => Promise<void>)[] {
    return this.#options.files.all().flatMap((position) => {
      const isSwept = position.endpoint === null && this.#swept.has(position.endpointId);
      return isSwept ? [async () => await this.#leave(position)] : [];
    });
  }

  async #sweep(endpointId: string, before: Promise<void> | undefined): Promise<void> {
    await before;
    const remove = async (): Promise<void> => {
      await this.#options.journal.destroy(endpointId);
      this.#swept.add(endpointId);
    };
    await attemptEach([remove], this.#options.say);
    this.#sweeping.delete(endpointId);
  }

  /** Sees a destroyed key's endpoint processed at its controller, and forgets it. */
  async #leave(position: OwnPosition): Promise<void> {
    const { client, files, isOwn } = this.#options;
    const { endpointId } = position;
    if (isOwn(position) && (await closeStepwise(client, position, 'release')) === 'unread') return;
    files.forget(endpointId);
    this.#swept.delete(endpointId);
  }
}

/**
 * A part that fails keeps no other one from being done, and comes again next turn.
 * @returns the first failure, or null
 */
export async function attemptEach(
  parts: readonly (() => Promise<void>)[],
  say: (error: PanoramixError) => void,
): Promise<PanoramixError | null> {
  let first: PanoramixError | null = null;
  for (const part of parts) {
    try {
      await part();
    } catch (thrown) {
      const error = asPanoramixError(thrown);
      say(error);
      first ??= error;
    }
  }
  return first;
}
