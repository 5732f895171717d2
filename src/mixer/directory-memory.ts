/**
 * What is remembered of each mixnet even if its directory.json is lost: how far it had come, and every domain that
 * its owners' log names. From this alone it follows that nothing ever downgrades (design §8).
 */
import { join } from 'node:path';
import { z } from 'zod';
import { parseContributionText } from '../api/contribution.ts';
import { readIfThere, replaceDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import type { Directory } from '../mixnet/directory.ts';
import type { DirectoryReason } from '../mixnet/verify-nodes.ts';

const seenSchema = z.record(
  z.string(),
  z.strictObject({
    number: z.int(),
    snapshot: z.string(),
    /** `previous` of that snapshot: one with a higher number that follows the same is its sibling. */
    previous: z.string().optional(),
    log_head: z.string(),
    domains: z.array(z.string()),
  }),
);
type Seen = z.output<typeof seenSchema>[string];

/** How a directory that verifies goes back behind what was seen. */
export type BackwardReason =
  'snapshot-rolled-back' | 'snapshot-equivocated' | 'snapshot-broken' | 'log-rolled-back';

/** Why a directory was not taken. */
export type StoreReason = DirectoryReason | BackwardReason | 'domain-lost';

export class DirectoryMemory {
  readonly #path: string;
  readonly #mixnetId: string;
  #all: Record<string, Seen>;

  /** @throws PanoramixError `config-invalid` where it is damaged: it could forget a domain */
  constructor(dataDir: string, mixnetId: string) {
    this.#path = join(dataDir, 'directory-seen.json');
    this.#mixnetId = mixnetId;
    this.#all = read(this.#path);
  }

  /** The last that was taken of this mixnet; null before the first. */
  get seen(): Seen | null {
    return this.#all[this.#mixnetId] ?? null;
  }

  /** Whether a domain was in a verified directory, of whatever mixnet, and no later log entry dropped it. */
  remembers(domain: string): boolean {
    const wanted = domain.toLowerCase();
    return Object.values(this.#all).some((seen) => seen.domains.includes(wanted));
  }

  /** On disk when it returns. */
  remember(directory: Directory): void {
    const seen: Seen = {
      number: directory.number,
      snapshot: directory.snapshotHash,
      previous: directory.previousHash,
      log_head: directory.logHead,
      domains: directory.nodes.flatMap((node) => node.domains),
    };
    this.#all = { ...this.#all, [this.#mixnetId]: seen };
    replaceDurably(this.#path, `${JSON.stringify(this.#all, null, 2)}\n`);
  }

  /**
   * Why a directory that verifies must not be taken, or null.
   * @param logHashes of all its log entries, oldest first
   * @param hasTwin whether there are two of the number seen, so that the next may follow either
   */
  backward(
    directory: Directory,
    logHashes: readonly string[],
    hasTwin: (number: number) => boolean,
  ): BackwardReason | null {
    const { seen } = this;
    if (!seen) return null;
    if (directory.number < seen.number) return 'snapshot-rolled-back';
    if (directory.number === seen.number && directory.snapshotHash !== seen.snapshot) {
      return 'snapshot-equivocated';
    }
    const { previousHash } = directory;
    // What comes next follows what was seen, or is the sibling for which that was given up.
    const follows = previousHash === seen.snapshot || previousHash === seen.previous;
    const isNext = directory.number === seen.number + 1;
    if (isNext && !follows && !hasTwin(seen.number)) return 'snapshot-broken';
    const headBefore = logHashes.indexOf(seen.log_head);
    const headNow = logHashes.indexOf(directory.logHead);
    return headBefore === -1 || headNow < headBefore ? 'log-rolled-back' : null;
  }

  /**
   * Whether a nodes.json that does not verify leaves out a domain that we have seen: that is what it was changed
   * for. A later log entry that drops one verifies.
   */
  losesDomain(json: unknown): boolean {
    const named = domainsIn(json);
    return named !== null && (this.seen?.domains ?? []).some((domain) => !named.has(domain));
  }
}

function read(path: string): Record<string, Seen> {
  const text = readIfThere(path);
  if (text === null) return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = null;
  }
  const parsed = seenSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PanoramixError(
    'config-invalid',
    `${path} is damaged: it remembers which domains are mixed and how far the directory has come; restore it from a backup`,
  );
}

/** Domains that the last log entry of a nodes.json names, believed or not; null where it cannot be read. */
function domainsIn(json: unknown): Set<string> | null {
  const log = (json as { log?: unknown } | null)?.log;
  const last: unknown = Array.isArray(log) ? log.at(-1) : null;
  const text = (last as { text?: unknown } | null)?.text;
  const body = typeof text === 'string' ? parseContributionText(text) : null;
  const nodes = (body?.data as { log?: { nodes?: unknown } } | null)?.log?.nodes;
  if (!Array.isArray(nodes)) return null;
  const named = nodes.flatMap((node) => (node as { domains?: unknown } | null)?.domains ?? []);
  return new Set(named.filter((domain): domain is string => typeof domain === 'string'));
}
