/**
 * The directory as everybody uses it: nodes, domains and keys, verified from the mixnet id alone.
 * `nodes.json` comes from a controller that may be hostile, so nothing of it is believed that the
 * owners have not signed (design §8). directory-texts.ts has the shapes, verify-nodes.ts the checks.
 */
import type { Rule } from '../api/peer.ts';
import { toHex } from '../bytes.ts';
import { keyInUse } from './key-epochs.ts';
import type { SphinxParams } from '../sphinx/packet.ts';

/** Public traffic parameters that all gateways keep to (design §10). */
export interface Traffic {
  /** Mean of the exponential delay at each mix. */
  readonly delayMeanMs: number;
  /** Rate of each gateway's Poisson clock; may be a fraction. */
  readonly ticksPerSecond: number;
  /** Rate of the loops of each node that is no gateway; a gateway's acked packets are its loops. */
  readonly loopsPerSecond: number;
  /** Mixes between entry and exit. */
  readonly mixesPerRoute: number;
  /** How long a mail may be under way before its sender gets a report. */
  readonly expiryMs: number;
}

/** A mix position: where packets are posted, and the key that peels them. */
export interface DirectoryEndpoint {
  readonly endpointId: string;
  /** Mix key, an element of the mixnet's group. */
  readonly publicKey: Uint8Array;
  /** 16 bytes by which packets name it (design §6). */
  readonly address: Uint8Array;
  readonly opensMs: number;
  readonly closesMs: number;
}

/** What the owners say of a node (roles, domains, weight), and what it says itself. */
export interface DirectoryNode {
  readonly peerId: string;
  readonly owner: string;
  readonly roles: readonly ('mix' | 'gateway')[];
  /** Lower-case A-labels. */
  readonly domains: readonly string[];
  /** Share of this node when a tick draws an exit, among all gateways' weights. */
  readonly weight: number;
  /** A paused node takes no new routes and still serves its domains. */
  readonly paused: boolean;
  /** Empty while the snapshot holds no entry of this node: then nothing can be routed to it. */
  readonly controllerUrl: string;
  readonly endpoints: readonly DirectoryEndpoint[];
  /**
   * Why its entry counts for nothing, and lists no endpoint here: its URL is plain HTTP to another host, or leads
   * everybody to his own. Its domains are still remembered, and everybody else's routes hold.
   */
  readonly leftOut?: UrlReason;
}

/** Why nobody may post to a node at the URL that it has signed. */
export type UrlReason = 'url-insecure' | 'url-loopback';

/** A verified directory. */
export interface Directory {
  readonly mixnetId: string;
  readonly name: string;
  readonly params: SphinxParams;
  /** Peer ids, sorted, as the log entry that the snapshot goes by says. */
  readonly owners: readonly string[];
  /** Whose signatures a change needs. */
  readonly rule: Rule;
  /** Of the snapshot; a lower one is never accepted again. */
  readonly number: number;
  /** SHA-256 of the snapshot's text, in hex. */
  readonly snapshotHash: string;
  /** `snapshotHash` of the snapshot before; the mixnet id before the first. */
  readonly previousHash: string;
  readonly validFromMs: number;
  readonly validUntilMs: number;
  readonly snapshotLifetimeMs: number;
  /** How long a node uses a mix key. */
  readonly keyLifetimeMs: number;
  readonly traffic: Traffic;
  /** Sorted by peer id. */
  readonly nodes: readonly DirectoryNode[];
  /** SHA-256 of the log entry that the snapshot goes by, in hex. */
  readonly logHead: string;
}

/** A node, and the one of its endpoints that an address names. */
interface Addressed {
  readonly node: DirectoryNode;
  readonly endpoint: DirectoryEndpoint;
}

/** Made at the first look, for every packet asks; a directory never changes. */
const indexes = new WeakMap<Directory, ReadonlyMap<string, Addressed>>();

/** The node and endpoint that a packet's 16-byte address names, or null: `unknown-next-hop`. */
export function nodeByAddress(directory: Directory, address: Uint8Array): Addressed | null {
  let index = indexes.get(directory);
  if (index === undefined) {
    index = new Map(
      directory.nodes.flatMap((node) =>
        node.endpoints.map((endpoint) => [toHex(endpoint.address), { node, endpoint }] as const),
      ),
    );
    indexes.set(directory, index);
  }
  return index.get(toHex(address)) ?? null;
}

/** The node of a peer, or null. */
export function nodeByPeer(directory: Directory, peerId: string): DirectoryNode | null {
  return directory.nodes.find((node) => node.peerId === peerId) ?? null;
}

/**
 * The gateway that serves a mail domain, or null.
 * @param domain A-labels of either case
 */
export function exitForDomain(directory: Directory, domain: string): DirectoryNode | null {
  const wanted = domain.toLowerCase();
  return directory.nodes.find((node) => node.domains.includes(wanted)) ?? null;
}

/**
 * The endpoint with which packets are made that arrive at a node at a time: of several, the one that stays
 * open longest, so that a packet does not arrive at a closed door. Null where none is open.
 */
export function openEndpoint(node: DirectoryNode, atMs: number): DirectoryEndpoint | null {
  return keyInUse(node.endpoints, atMs);
}
