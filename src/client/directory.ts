/**
 * A mixnet's directory for programs that use it (design §8): verified whole from the mix-net URL alone, or, where
 * only the URLs of some nodes.json are known, from the mixnet id that is pinned at first use, which it says.
 * Several controllers may be asked; the newest that verifies is taken, and none that is older than the
 * last one seen.
 */
import { requireSecureUrl } from '../api/controller-url.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Directory } from '../mixnet/directory.ts';
import { readNodes, timeReason } from '../mixnet/verify-nodes.ts';
import { readMixnetUrl } from './careful.ts';
import { exchange } from './http.ts';

const TIMEOUT_MS_DEFAULT = 15_000;

/** What a program keeps between two calls, so that it is never led back: a few lines of text. */
export interface Remembered {
  readonly mixnetId: string;
  readonly number: number;
  readonly snapshotHash: string;
}

/** Where it is kept; a browser's localStorage will do. */
export interface DirectoryMemory {
  read(): Promise<Remembered | null>;
  write(seen: Remembered): Promise<void>;
}

export interface DirectoryOptions {
  /** Mix-net URLs (D4.2 §5.2), or URLs of a nodes.json of any controller. */
  readonly urls: readonly string[];
  readonly primitives: Primitives;
  /** Without one every call is a first use. */
  readonly memory?: DirectoryMemory;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  readonly timeoutMs?: number;
}

/** A directory that holds now. */
export interface DirectoryAnswer {
  readonly directory: Directory;
  /** Who served it. */
  readonly url: string;
  /**
   * Why this mixnet is believed to be the one that was meant: a mix-net URL commits to it, it is the one of
   * before, or the first that was seen, of which the program should tell its user.
   */
  readonly trust: 'mixnet-url' | 'pinned' | 'first-use';
  /** URLs that gave nothing to be believed, with the reason. */
  readonly refused: readonly { readonly url: string; readonly reason: string }[];
}

/** One answer, parsed. */
interface Served {
  readonly url: string;
  readonly json: unknown;
}

/**
 * Asks all URLs at the same time.
 * @throws PanoramixError `directory-unusable` where none gives a directory that holds, with each one's reason;
 *   `mixnet-unverified` where two of one number are signed; `config-invalid` for URLs of different mixnets
 */
export async function getDirectory(options: DirectoryOptions): Promise<DirectoryAnswer> {
  const { urls, memory, primitives, now = Date.now } = options;
  const before = (await memory?.read()) ?? null;
  const named = namedMixnet(urls);
  const refused: { url: string; reason: string }[] = [];
  const served = await ask(options, refused);
  const mixnetId = named ?? before?.mixnetId ?? firstUse(served, primitives);
  // The memory of another mixnet says nothing of this one.
  const seen = before?.mixnetId === mixnetId ? before : null;
  let best: { directory: Directory; url: string } | null = null;
  for (const { url, json } of served) {
    const read = readNodes(json, mixnetId ?? '', primitives);
    const reason = read.ok
      ? (backward(read.directory, seen) ?? timeReason(read.directory, now()))
      : read.reason;
    if (!read.ok || reason !== null) {
      refused.push({ url, reason: reason ?? 'directory-malformed' });
      continue;
    }
    const { directory } = read;
    if (best?.directory.number === directory.number) requireSame(best.directory, directory);
    if (best === null || directory.number > best.directory.number) best = { directory, url };
  }
  if (best === null) {
    const reasons = refused.map(({ url, reason }) => `${url}: ${reason}`);
    throw new PanoramixError('directory-unusable', reasons.join('; ') || 'no URL was given');
  }
  const { number, snapshotHash } = best.directory;
  await memory?.write({ mixnetId: best.directory.mixnetId, number, snapshotHash });
  const trust = named !== null ? 'mixnet-url' : before !== null ? 'pinned' : 'first-use';
  return { ...best, trust, refused };
}

async function ask(
  { urls, timeoutMs = TIMEOUT_MS_DEFAULT }: DirectoryOptions,
  refused: { url: string; reason: string }[],
): Promise<Served[]> {
  const answers = await Promise.all(
    urls.map(async (url): Promise<Served | null> => {
      try {
        const target = new URL(nodesUrl(url));
        requireSecureUrl(target);
        const json = await exchange({ url: target, method: 'GET', timeoutMs, isPublic: true });
        return { url, json };
      } catch (error) {
        refused.push({ url, reason: asPanoramixError(error).code });
        return null;
      }
    }),
  );
  return answers.filter((one) => one !== null);
}

/** The mixnet to which mix-net URLs commit; null where there is none among them. */
function namedMixnet(urls: readonly string[]): string | null {
  const ids = new Set(urls.flatMap((url) => readMixnetUrl(url)?.mixnetId ?? []));
  const [only = null, another] = ids;
  if (another === undefined) return only;
  throw new PanoramixError('config-invalid', 'the URLs are of different mixnets');
}

function nodesUrl(url: string): string {
  if (readMixnetUrl(url) === null) return url;
  return `${url.trim().replace(/\/$/, '')}/nodes.json`;
}

/** Of who answered, in the order of the URLs, the first whose directory is whole: anybody's, but one mixnet's. */
function firstUse(served: readonly Served[], primitives: Primitives): string | null {
  for (const { json } of served) {
    const claimed = (json as { mixnet?: unknown } | null)?.mixnet;
    if (typeof claimed === 'string' && readNodes(json, claimed, primitives).ok) return claimed;
  }
  return null;
}

function backward(directory: Directory, seen: Remembered | null): string | null {
  if (seen === null) return null;
  if (directory.number < seen.number) return 'snapshot-rolled-back';
  const isTwin = directory.number === seen.number && directory.snapshotHash !== seen.snapshotHash;
  return isTwin ? 'snapshot-equivocated' : null;
}

function requireSame(one: Directory, other: Directory): void {
  if (one.snapshotHash === other.snapshotHash) return;
  throw new PanoramixError(
    'mixnet-unverified',
    `snapshot-equivocated: owners have signed two directories of number ${one.number}`,
  );
}
