/** One node of the mixnet in one process (in-process.ts): what is its own, and what its disk keeps. */
import { createIdentity, createMixKey, nodeAddress } from '../../src/crypto/keys.ts';
import type { Identity } from '../../src/crypto/keys.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import type { Sends } from '../../src/mixnet/arq.ts';
import type { DirectoryNode } from '../../src/mixnet/directory.ts';
import type { Envelope } from '../../src/mixnet/envelope.ts';
import type { Fragment } from '../../src/mixnet/fragment.ts';
import { ReplaySet } from '../../src/mixnet/replay.ts';
import { madeNode, NOW_MS } from '../mixnet/made-directory.ts';

/** A mail that came out of an exit. */
export interface ArrivedMail {
  readonly envelope: Envelope;
  readonly data: Uint8Array;
  readonly atMs: number;
}

/** A fragment that no exit has acked yet. */
export interface WaitingFragment {
  readonly fragment: Fragment;
  sends: Sends;
}

/** A packet of its own that a node has sent. */
export interface SentPacket {
  readonly keytuple: readonly Uint8Array[];
  /** Null for cover. */
  readonly carried: { readonly exit: string; readonly waiting: WaitingFragment } | null;
}

/** One node: what is on its disk, whether it runs, and what it has counted. */
export interface NetworkNode {
  readonly identity: Identity;
  readonly mixSecret: Uint8Array;
  readonly entry: DirectoryNode;
  readonly replays: ReplaySet;
  /** Packets that its controller keeps for it. */
  readonly inbox: Uint8Array[];
  /** Packets held for their delay. */
  readonly records: Map<number, { packet: Uint8Array; next: Uint8Array; dueMs: number }>;
  /** Fragments that wait for a tick or for their ack, by exit. */
  readonly outbound: Map<string, WaitingFragment[]>;
  /** What opens the answers to own packets, by reply id. */
  readonly sent: Map<string, SentPacket>;
  readonly fragments: Map<string, Map<number, Fragment>>;
  readonly assembling: Set<string>;
  readonly delivered: ArrivedMail[];
  /** How often each outcome came: `forward`, `fragment`, `cover`, `mail`, or a drop's reason. */
  readonly counts: Map<string, number>;
  running: boolean;
  /** Counts the starts: what an earlier start had scheduled is void. */
  starts: number;
  controllerAnswers: boolean;
  /** What a hostile node sends in place of a packet. */
  tamper: (packet: Uint8Array) => readonly Uint8Array[];
}

/** A node with keys of its own, whose endpoint is open for 30 days. */
export function createNode(
  primitives: Primitives,
  number: number,
  role: 'mix' | 'gateway',
): NetworkNode {
  const identity = createIdentity(primitives);
  const mixKey = createMixKey(primitives, primitives.group('X25519'));
  const { publicKey } = mixKey;
  const address = nodeAddress(primitives, identity.peerId, publicKey);
  const made = madeNode(number);
  const endpoint = { ...(made.endpoints[0] as DirectoryNode['endpoints'][number]), address };
  const entry: DirectoryNode = {
    ...made,
    peerId: identity.peerId,
    owner: identity.peerId,
    roles: [role],
    domains: role === 'gateway' ? [`provider${number}.example`] : [],
    endpoints: [{ ...endpoint, publicKey, closesMs: NOW_MS + 30 * 86_400_000 }],
  };
  return {
    identity,
    mixSecret: mixKey.secret,
    entry,
    replays: new ReplaySet(),
    inbox: [],
    records: new Map(),
    outbound: new Map(),
    sent: new Map(),
    fragments: new Map(),
    assembling: new Set(),
    delivered: [],
    counts: new Map(),
    running: true,
    starts: 0,
    controllerAnswers: true,
    tamper: (packet) => [packet],
  };
}
