/** Mirrored directories in Redis: one document each, in the index of the mixnets that are served here. */
import type { Change, Document, Documents } from '../documents.ts';
import type { Mirrored } from './rules.ts';

/** The directory that a node has left here, by the mixnet's id. */
export async function readMirrored(
  documents: Documents,
  mixnetId: string,
): Promise<Document<Mirrored>> {
  return await documents.read(documents.key('mirror', mixnetId));
}

/** What keeps a directory in place of `before`. */
export function mirrorChange(
  documents: Documents,
  mixnetId: string,
  before: Document<Mirrored>,
  after: Mirrored,
  nowMs: number,
): Change {
  return {
    expect: [before],
    put: [{ key: before.key, value: after, ttlMs: null }],
    ...(before.value === null && {
      index: [{ key: documents.key('mixnets'), score: nowMs, member: mixnetId }],
    }),
  };
}
