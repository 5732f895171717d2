/**
 * Reports to senders, from the moment that something failed until somebody has taken them: sealed, each
 * once, and remembered afterwards, so that whatever is done twice makes no second one.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { CLAIM_VALUES, claimLua } from './return-store.ts';
import { createScript, runScript, type ScriptCall } from './script.ts';
import { createSealing, type Sealing } from './sealing.ts';

/** Longer than anything that could make the same report again. */
const SETTLED_MS = 14 * DAY_MS;

const NO_CLAIM: ScriptCall = { keys: [], values: Array.from({ length: CLAIM_VALUES }, () => '') };

// KEYS: settled marker, report, names of all, that of the claim. ARGV: name, sealed report, those of the claim.
const KEEP = createScript(
  'keep a report',
  `
  ${claimLua(3, 2)}
  if redis.call('EXISTS', KEYS[1]) == 1 then return 'repeat' end
  local kept = redis.call('SETNX', KEYS[2], ARGV[2])
  redis.call('SADD', KEYS[3], ARGV[1])
  return kept == 1 and 'kept' or 'repeat'
  `,
);

// KEYS: settled marker, report, names of all. ARGV: name, until when to remember it.
const SETTLE = createScript(
  'settle a report',
  `
  redis.call('SET', KEYS[1], '', 'PXAT', ARGV[2])
  redis.call('DEL', KEYS[2])
  redis.call('SREM', KEYS[3], ARGV[1])
  `,
);

/** Reports that wait, and ids of those that were. Names are keyed hashes of ids. */
export class ReportStore {
  readonly #store: Store;
  readonly #sealing: Sealing;

  /** @param options `storageKey`: 32 bytes, the gateway's own */
  constructor(
    store: Store,
    options: { readonly primitives: Primitives; readonly storageKey: Uint8Array },
  ) {
    this.#store = store;
    this.#sealing = createSealing(options.primitives, options.storageKey);
  }

  /**
   * Keeps a report; on disk when it returns. One of an id that is kept or settled changes nothing.
   * @param id 32 hex digits (`src/mail/report-id.ts`)
   * @param report opaque here
   * @param claim what is noted as told in the same write (`ReturnStore.claimCall`)
   * @returns `told` where some of that is noted already: then nothing is kept
   */
  async keep(
    id: string,
    report: Uint8Array,
    claim: ScriptCall = NO_CLAIM,
  ): Promise<'kept' | 'repeat' | 'told'> {
    const name = this.#nameOf(id);
    const sealed = this.#sealing.seal(report, `report:${name}`);
    const keys = [...this.#keys(name), ...claim.keys];
    const call = { keys, values: [name, sealed, ...claim.values] };
    const kept = String(await runScript(this.#store.redis, KEEP, call));
    return kept === 'kept' || kept === 'told' ? kept : 'repeat';
  }

  /** Names of the reports that wait. */
  async waiting(): Promise<readonly string[]> {
    return await guarded('list reports', async () => {
      return await this.#store.redis.smembers(this.#names());
    });
  }

  /** A report that waits; null where it is settled, or sealed under another key. */
  async load(name: string): Promise<Uint8Array | null> {
    const sealed = await guarded('load a report', async () => {
      return await this.#store.redis.getBuffer(this.#report(name));
    });
    return sealed && this.#sealing.unseal(new Uint8Array(sealed), `report:${name}`);
  }

  /** Forgets a report, and remembers that there was one of this id. Twice is harmless. */
  async settle(id: string): Promise<void> {
    const name = this.#nameOf(id);
    const values = [name, coarseEnd(Date.now(), SETTLED_MS)];
    await runScript(this.#store.redis, SETTLE, { keys: this.#keys(name), values });
  }

  /** Whether a report of this id waits or was settled within 14 days. */
  async has(id: string): Promise<boolean> {
    const [marker, report] = this.#keys(this.#nameOf(id));
    return await guarded('look for a report', async () => {
      return (await this.#store.redis.exists(marker, report)) > 0;
    });
  }

  #nameOf(id: string): string {
    return this.#sealing.nameOf(fromUtf8(`report:${id}`));
  }

  #keys(name: string): [string, string, string] {
    return [`${this.#store.prefix}:reported:${name}`, this.#report(name), this.#names()];
  }

  #report(name: string): string {
    return `${this.#store.prefix}:report:${name}`;
  }

  #names(): string {
    return `${this.#store.prefix}:reports`;
  }
}
