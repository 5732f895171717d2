/**
 * Directories for tests of the pure layer, made without owners or signatures: what routes are drawn
 * from. How a real one is verified is tested with directory.ts.
 */
import type { Directory, DirectoryNode } from '../../src/mixnet/directory.ts';

export const NOW_MS = 1_800_000_000_000;

/** A peer id that shows its number. */
export function peerIdOf(number: number): string {
  return number.toString(16).padStart(64, '0');
}

/** A node with one endpoint that is open at `NOW_MS` for three hours, overridden as given. */
export function madeNode(number: number, over: Partial<DirectoryNode> = {}): DirectoryNode {
  return {
    peerId: peerIdOf(number),
    owner: peerIdOf(number),
    roles: ['mix'],
    domains: [],
    weight: 1,
    paused: false,
    controllerUrl: `http://127.0.0.1:${8000 + number}/panoramix`,
    endpoints: [
      {
        endpointId: `endpoint_${number}`,
        publicKey: new Uint8Array(32).fill(number),
        address: new Uint8Array(16).fill(number),
        opensMs: NOW_MS - 1000,
        closesMs: NOW_MS + 3 * 3_600_000,
      },
    ],
    ...over,
  };
}

/** A directory of these nodes. */
export function madeDirectory(
  nodes: readonly DirectoryNode[],
  over: Partial<Directory> = {},
): Directory {
  return {
    mixnetId: 'a'.repeat(64),
    name: 'test',
    params: { group: 'X25519', headerLen: 320, bodyLen: 2048 },
    owners: [...new Set(nodes.map(({ owner }) => owner))].toSorted(),
    rule: 'all',
    number: 1,
    snapshotHash: 'c'.repeat(64),
    previousHash: 'a'.repeat(64),
    validFromMs: NOW_MS - 1000,
    validUntilMs: NOW_MS + 30 * 86_400_000,
    snapshotLifetimeMs: 30 * 86_400_000,
    keyLifetimeMs: 30 * 86_400_000,
    traffic: {
      delayMeanMs: 2000,
      ticksPerSecond: 2,
      loopsPerSecond: 0.5,
      mixesPerRoute: 3,
      expiryMs: 5 * 86_400_000,
    },
    nodes,
    logHead: 'b'.repeat(64),
    ...over,
  };
}
