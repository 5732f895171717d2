/**
 * What a mirror takes (design §8): the directory of a mixnet that met elsewhere, verified whole from its id
 * before it is kept, from one of its own nodes, and never an older one than it has. Pure.
 */
import type { Primitives } from '../../src/crypto/primitives.ts';
import { readNodes, timeReason } from '../../src/mixnet/verify-nodes.ts';
import { allow, refuse, type Ruled } from '../context.ts';

/** A directory as it is mirrored: `text` is what is served, without what may stand between its parts. */
export interface Mirrored {
  readonly number: number;
  readonly snapshotHash: string;
  /** Entries of its log; one that has fewer has lost some. */
  readonly logLength: number;
  readonly text: string;
}

/** What is to be kept after a node has posted a directory; `before` itself where nothing changes. */
export function mirror(
  primitives: Primitives,
  before: Mirrored | null,
  posted: {
    readonly mixnetId: string;
    readonly poster: string;
    readonly json: unknown;
  },
  nowMs: number,
): Ruled<Mirrored> {
  const read = readNodes(posted.json, posted.mixnetId, primitives);
  if (!read.ok) return refuse('directory-refused');
  const { directory, logHashes } = read;
  // An expired one is taken: who reads it sees so, and learns how far the mixnet had come.
  if (timeReason(directory, nowMs) === 'directory-not-yet-valid') {
    return refuse('directory-refused');
  }
  if (!directory.nodes.some(({ peerId }) => peerId === posted.poster)) {
    return refuse('sender-refused');
  }
  const { number, snapshotHash } = directory;
  if (before !== null) {
    if (number < before.number || logHashes.length < before.logLength) {
      return refuse('directory-older');
    }
    if (number === before.number && snapshotHash !== before.snapshotHash) {
      return refuse('directory-conflict');
    }
    if (number === before.number && logHashes.length === before.logLength) return allow(before);
  }
  // Of what came nothing is kept that nobody has signed: megabytes of blanks would go to all who ask.
  const text = JSON.stringify(posted.json);
  return allow({ number, snapshotHash, logLength: logHashes.length, text });
}
