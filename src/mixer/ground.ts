/**
 * What the next snapshot stands on: nodes.json as the controller serves it on which the owners meet, verified,
 * with what is new in it taken by the store.
 */
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { Directory } from '../mixnet/directory.ts';
import { readFoundation } from '../mixnet/verify-log.ts';
import { readNodes } from '../mixnet/verify-nodes.ts';
import type { DirectoryStore } from './directory-store.ts';
import type { SnapshotGround } from './snapshot.ts';

/** What the controller served at one look, verified. */
export interface Look {
  /** All of the ground but the number, which is the attempt's. */
  readonly ground: Omit<SnapshotGround, 'number'>;
  /** The last snapshot's directory, expired or not; null before the first. */
  readonly directory: Directory | null;
}

/**
 * Verifies a nodes.json from where the owners meet.
 * @throws PanoramixError `answer-malformed` with the reason where it is not to be believed, or goes back
 */
export function lookAt(json: unknown, store: DirectoryStore, primitives: Primitives): Look {
  const read = readFoundation(json, store.mixnetId, primitives);
  if (!read.ok) throw refused(read.reason);
  const { present, log, consensusId, snapshot } = read.foundation;
  const last = snapshot === null ? null : lastOf(json, snapshot, store, primitives);
  if (last === null && store.last()) throw refused('snapshot-missing');
  const [logHead, head] = [...log].at(-1) as [string, SnapshotGround['head']];
  return {
    directory: last?.directory ?? null,
    ground: {
      mixnetId: store.mixnetId,
      terms: present,
      previous: last?.directory.snapshotHash ?? store.mixnetId,
      lastConsensusId: last?.consensusId ?? consensusId,
      logHead,
      head,
    },
  };
}

function lastOf(
  json: unknown,
  snapshot: unknown,
  store: DirectoryStore,
  primitives: Primitives,
): { readonly directory: Directory; readonly consensusId: string } {
  const offered = store.offer(json);
  // Two of one number stop mail, not the agreeing, which may end it.
  const goesOn: readonly string[] = ['directory-expired', 'snapshot-equivocated'];
  if (!offered.ok && !goesOn.includes(offered.reason)) throw refused(offered.reason);
  const read = readNodes(json, store.mixnetId, primitives);
  if (!read.ok) throw refused(read.reason);
  return {
    directory: read.directory,
    consensusId: (snapshot as { consensus: string }).consensus,
  };
}

function refused(reason: string): PanoramixError {
  return new PanoramixError('answer-malformed', `nodes.json: ${reason}`);
}
