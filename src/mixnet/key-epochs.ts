/**
 * The timeline of mix keys (design §6), pure. A key lives for L = key_lifetime_ms; the next one opens an
 * overlap before it closes, and is made so early that every snapshot which is valid by then names it.
 * All margins are shares of L and of S = snapshot_lifetime_ms, so that seconds work as days do.
 *
 *     made ........ opens ................................ closes ...... shuts ....... ends
 *      4/3 S before       L, the last quarter beside the next      L/8         L/4 after closes
 */
import { equalBytes } from '../bytes.ts';
import { ENDPOINTS_MAX } from './directory-texts.ts';

/** Share of a key's life that it has in common with the next one. */
const OVERLAP_SHARE = 1 / 4;
/** Share of L for which the endpoint takes packets after it has closed: they left in time and were late. */
const SHUT_SHARE = 1 / 8;
/** Share of L after which, at the latest, the key is destroyed, whatever else is still to be done. */
const END_SHARE = 1 / 4;
/** Snapshots in the life of one: a new one is due each third. */
const EPOCHS_PER_SNAPSHOT = 3;
/** A snapshot's life as a multiple of a key's, at most: how many keys ahead an entry has room for. */
const SNAPSHOT_KEYS_MAX = 2;
/** Clocks may differ by so much, where L allows it. */
const CLOCK_SKEW_MS = 5 * 60_000;
const CLOCK_SKEW_SHARE = 1 / 8;
/** A key that remembers more than this share of the packets that it can gets its successor at once. */
const FULL_SHARE = 0.6;
/** Early successors leave this much room in the entry for the one whose time comes. */
const EARLY_ROOM = 1;
/** A packet that is ready must find its way open for so much longer, where L allows it. */
const FRESH_MS = 60_000;
const FRESH_SHARE = 1 / 24;

/** What the owners have agreed on (log head). */
export interface KeyTerms {
  readonly keyLifetimeMs: number;
  readonly snapshotLifetimeMs: number;
}

/** The life of one key; times in ms since 1970. */
export interface KeyLife {
  /** From when senders use it. */
  readonly opensMs: number;
  /** Until when senders expect packets to arrive. */
  readonly closesMs: number;
  /** L as it was when the key was made, or is now where that is less. */
  readonly keyLifetimeMs: number;
}

/** Where a key stands, for `status`: not in use yet, in use, or used no more and not yet destroyed. */
export type KeyState = 'ahead' | 'in-use' | 'closing';

/** When the controller's endpoint is to take no more. */
export function shutsMs({ closesMs, keyLifetimeMs }: KeyLife): number {
  return closesMs + Math.floor(SHUT_SHARE * keyLifetimeMs);
}

/** When the key is destroyed at the latest, drained or not. */
export function endsMs({ closesMs, keyLifetimeMs }: KeyLife): number {
  return closesMs + Math.floor(END_SHARE * keyLifetimeMs);
}

/** Where a key stands at a time. */
export function keyState(
  { opensMs, closesMs }: Pick<KeyLife, 'opensMs' | 'closesMs'>,
  nowMs: number,
): KeyState {
  if (nowMs < opensMs) return 'ahead';
  return nowMs < closesMs ? 'in-use' : 'closing';
}

/** How long before it opens a key is made: any snapshot that is valid by then, and one late, names it. */
export function aheadMs({ snapshotLifetimeMs }: KeyTerms): number {
  return snapshotLifetimeMs + Math.ceil(snapshotLifetimeMs / EPOCHS_PER_SNAPSHOT);
}

/**
 * The keys to be made now, soonest first: with them all that follows is covered until the life of every
 * snapshot that can be made before the next look is over, and an epoch and an overlap more.
 * @param lives of the keys that are not destroyed, those that have closed included
 */
export function missingKeys(
  lives: readonly KeyLife[],
  nowMs: number,
  terms: KeyTerms,
): readonly KeyLife[] {
  const made: KeyLife[] = [];
  while (lives.length + made.length < ENDPOINTS_MAX) {
    const life = nextKey(coveredMs([...lives, ...made], nowMs), nowMs, terms);
    if (life === null) break;
    made.push(life);
  }
  return made;
}

/** The key after `untilMs`, until when all is covered; null where its time to be made has not come. */
function nextKey(untilMs: number, nowMs: number, terms: KeyTerms): KeyLife | null {
  const { keyLifetimeMs } = terms;
  // At once, and for those, too, whose clocks are behind.
  if (untilMs === nowMs) return lifeFrom(nowMs - clockSkewMs(terms), keyLifetimeMs);
  const opensMs = untilMs - Math.floor(OVERLAP_SHARE * keyLifetimeMs);
  if (nowMs < opensMs - aheadMs(terms)) return null;
  return lifeFrom(Math.max(opensMs, nowMs), keyLifetimeMs);
}

/** From a time on, until when some key is open at every moment; the time itself where none is open. */
export function coveredMs(
  lives: readonly Pick<KeyLife, 'opensMs' | 'closesMs'>[],
  fromMs: number,
): number {
  return lives
    .toSorted((left, right) => left.opensMs - right.opensMs)
    .reduce((until, { opensMs, closesMs }) => {
      return opensMs <= until ? Math.max(until, closesMs) : until;
    }, fromMs);
}

/**
 * The successor that a key gets at once when it is nearly full; null where it has one, is not full, or the
 * entry has no room for more. From now on senders choose it, for it closes last.
 * @param used packets that the key in use remembers, and how many it can
 */
export function earlyKey(
  lives: readonly KeyLife[],
  nowMs: number,
  { keyLifetimeMs }: KeyTerms,
  used: { readonly tags: number; readonly tagsMax: number },
): KeyLife | null {
  if (used.tags <= FULL_SHARE * used.tagsMax) return null;
  if (lives.length + EARLY_ROOM >= ENDPOINTS_MAX) return null;
  const present = keyInUse(lives, nowMs);
  if (present === null) return null;
  const closesMs = Math.max(nowMs + keyLifetimeMs, present.closesMs + 1);
  return { opensMs: nowMs, closesMs, keyLifetimeMs };
}

/** The key that senders use: of those that are open the one that closes last; null where none is open. */
export function keyInUse<Life extends Pick<KeyLife, 'opensMs' | 'closesMs'>>(
  keys: readonly Life[],
  atMs: number,
): Life | null {
  return keys.reduce<Life | null>((best, key) => {
    const isOpen = key.opensMs <= atMs && atMs < key.closesMs;
    return isOpen && (best === null || key.closesMs > best.closesMs) ? key : best;
  }, null);
}

/** Until when senders choose a key that they have chosen: it closes, or one opens that closes later. */
export function chosenUntilMs(
  keys: readonly Pick<KeyLife, 'opensMs' | 'closesMs'>[],
  chosen: Pick<KeyLife, 'opensMs' | 'closesMs'>,
): number {
  return keys.reduce((until, { opensMs, closesMs }) => {
    return closesMs > chosen.closesMs ? Math.min(until, opensMs) : until;
  }, chosen.closesMs);
}

/**
 * A life as it is under terms by which keys live less long than when it was made: cut short, but not below
 * what snapshots that name the old end, or are made before the next look, can still ask for.
 */
export function shortened(life: KeyLife, nowMs: number, terms: KeyTerms): KeyLife {
  const { keyLifetimeMs } = terms;
  if (life.keyLifetimeMs <= keyLifetimeMs) return life;
  const neededMs = nowMs + aheadMs(terms) + Math.floor(OVERLAP_SHARE * keyLifetimeMs);
  const closesMs = Math.max(life.opensMs + keyLifetimeMs, neededMs);
  return { ...life, closesMs: Math.min(life.closesMs, closesMs), keyLifetimeMs };
}

/**
 * Whether what a directory says of a node's keys is wrong now, so that a new snapshot cannot wait until it is
 * due: it lacks a key that is open, or names one that is gone before its time. Keys that are made
 * ahead come with the next one.
 */
export function isOutdated(said: readonly Key[], own: readonly Key[], nowMs: number): boolean {
  const knows = (keys: readonly Key[], wanted: Key): boolean =>
    keys.some(
      ({ endpointId, publicKey }) =>
        endpointId === wanted.endpointId && equalBytes(publicKey, wanted.publicKey),
    );
  return (
    own.some((key) => keyState(key, nowMs) === 'in-use' && !knows(said, key)) ||
    said.some((key) => nowMs < key.closesMs && !knows(own, key))
  );
}

interface Key extends Omit<KeyLife, 'keyLifetimeMs'> {
  readonly endpointId: string;
  readonly publicKey: Uint8Array;
}

/** For how much longer the way of a packet that is ready must be open. */
export function freshMarginMs({ keyLifetimeMs }: Pick<KeyTerms, 'keyLifetimeMs'>): number {
  return Math.min(FRESH_MS, FRESH_SHARE * keyLifetimeMs);
}

/**
 * Why these lifetimes do not go together, as a sentence with the sum, or null. While a snapshot is valid
 * senders must find a key in it, and an entry has room for so many keys ahead.
 */
export function refuseLifetimes({ keyLifetimeMs, snapshotLifetimeMs }: KeyTerms): string | null {
  const most = SNAPSHOT_KEYS_MAX * keyLifetimeMs;
  if (snapshotLifetimeMs <= most) return null;
  return (
    `a snapshot of ${snapshotLifetimeMs} ms would outlive the keys that it can name: at most ` +
    `${SNAPSHOT_KEYS_MAX} × key_lifetime_ms = ${SNAPSHOT_KEYS_MAX} × ${keyLifetimeMs} = ${most} ms`
  );
}

function lifeFrom(opensMs: number, keyLifetimeMs: number): KeyLife {
  return { opensMs, closesMs: opensMs + keyLifetimeMs, keyLifetimeMs };
}

function clockSkewMs({ keyLifetimeMs }: KeyTerms): number {
  return Math.min(CLOCK_SKEW_MS, Math.floor(CLOCK_SKEW_SHARE * keyLifetimeMs));
}
