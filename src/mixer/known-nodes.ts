/**
 * Whom the node's own controller takes for nodes (the state file's `nodes`), as the log changes: who joins at
 * once; who leaves not before all is done that is under way by snapshots that still name him. Pure.
 */
import { delayMsMax } from '../mixnet/delay.ts';
import type { Directory } from '../mixnet/directory.ts';
import type { LogEntry } from '../mixnet/directory-texts.ts';

/** The part of the state file that this is about. */
export interface KnownNodes {
  readonly nodes?: readonly string[] | undefined;
  /** Who is no node any more, and until when (ms since 1970) he is still taken for one. */
  readonly leaving?: Readonly<Record<string, number>> | undefined;
}

/**
 * Who is to be known now. A snapshot that names who has left is valid for a snapshot's lifetime at most, and
 * a packet made in its last moment is held at each hop for the longest delay at most.
 * @param directory of the last snapshot; before the first nothing is under way
 * @returns null where nothing changes
 */
export function knownAfter(
  before: KnownNodes,
  head: Pick<LogEntry, 'nodes'>,
  directory: Pick<Directory, 'snapshotLifetimeMs' | 'traffic'> | null,
  nowMs: number,
): { readonly nodes: string[]; readonly leaving: Record<string, number> } | null {
  const present = head.nodes.map((node) => node.peer_id);
  const graceMs = directory
    ? directory.snapshotLifetimeMs +
      delayMsMax(directory.traffic.delayMeanMs) * (directory.traffic.mixesPerRoute + 1)
    : 0;
  const gone = (before.nodes ?? []).filter((id) => !present.includes(id));
  const leaving = Object.fromEntries(
    gone
      .map((id) => [id, before.leaving?.[id] ?? nowMs + graceMs] as const)
      .filter(([, untilMs]) => untilMs > nowMs),
  );
  const nodes = [...present, ...Object.keys(leaving)].toSorted();
  const isSame =
    JSON.stringify(nodes) === JSON.stringify(before.nodes ?? []) &&
    JSON.stringify(leaving) === JSON.stringify(before.leaving ?? {});
  return isSame ? null : { nodes, leaving };
}
