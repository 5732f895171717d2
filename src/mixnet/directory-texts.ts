/**
 * The texts that owners sign to make a mixnet: the founding text whose hash is the mixnet id, the log
 * entries that say who the nodes are (design §8), each node's own entry, and the snapshots by which
 * everybody routes. Shapes, builders and the rule live here; directory.ts checks them.
 * Every text is canonical JSON (RFC 8785); points in time are RFC 3339 in UTC, as in all of the API.
 */
import { z } from 'zod';
import { canonicalText } from '../api/canonical.ts';
import { endpointId, hex64, isSortedSet, peerId, timestamp } from '../api/fields.ts';
import {
  isOwnership,
  ownershipFields,
  parseFounding,
  type FoundingTerms,
  type Rule,
} from '../api/peer.ts';
import { signText, verifyText } from '../api/signed.ts';
import type { Identity } from '../crypto/keys.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import { refuseParams, refusePath, type SphinxParams } from '../sphinx/packet.ts';
import { refuseGeometry } from './geometry.ts';

/** Nodes and owners that one directory may hold: what one controller answers in one page. */
export const NODES_MAX = 256;
/** Domains of one gateway. */
export const DOMAINS_MAX = 10_000;
/** Endpoints of one node in one snapshot: the open one, the next one, and slack for rotation. */
export const ENDPOINTS_MAX = 8;
const LOG_WEIGHT_MAX = 1_000_000;

/** Lower-case A-labels (RFC 5890 §2.3.2.1); underscores, since mail servers accept them. */
const DOMAIN =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** D4.2's names (§5.1) for the parameters of the packet. */
const packetParams = z.strictObject({
  GROUP: z.enum(['X25519', 'P-224']),
  HEADER_LEN: z.int().min(64).max(65_536),
  BODY_LEN: z.int().min(64).max(16_777_216),
});

const traffic = z.strictObject({
  delay_mean_ms: z.int().min(0).max(86_400_000),
  ticks_per_second: z.number().positive().max(10_000),
  loops_per_second: z.number().positive().max(10_000),
  mixes_per_route: z.int().min(1).max(16),
  expiry_ms: z
    .int()
    .min(1_000)
    .max(90 * 86_400_000),
});

/** What a node may do, as the owners agreed. Its `owner` is who answers for it. */
export const logNode = z
  .strictObject({
    peer_id: peerId,
    owner: peerId,
    roles: z
      .array(z.enum(['gateway', 'mix']))
      .min(1)
      .refine(isSortedSet, 'not sorted'),
    domains: z
      .array(z.string().regex(DOMAIN, 'is no domain name'))
      .max(DOMAINS_MAX)
      .refine(isSortedSet, 'not sorted'),
    weight: z.int().min(1).max(LOG_WEIGHT_MAX),
  })
  .refine((node) => node.domains.length === 0 || node.roles.includes('gateway'), {
    message: 'serves domains and is no gateway',
  });

/**
 * One entry of the log: the whole list of nodes from here on, and the traffic that they keep to. With
 * `owners` and `rule` it also says who owns the mixnet from the next text on, snapshots by this entry included.
 */
export const logEntry = z
  .strictObject({
    previous: hex64,
    nodes: z.array(logNode).min(1).max(NODES_MAX),
    traffic,
    snapshot_lifetime_ms: z
      .int()
      .min(1_000)
      .max(366 * 86_400_000),
    /** How long a node uses a mix key (design §6). */
    key_lifetime_ms: z
      .int()
      .min(1_000)
      .max(366 * 86_400_000),
    ...ownershipFields,
  })
  .refine(isOwnership, 'owners and their rule')
  .refine((entry) => isSortedSet(entry.nodes.map((node) => node.peer_id)), 'nodes not sorted')
  .refine((entry) => {
    const domains = entry.nodes.flatMap((node) => node.domains);
    return new Set(domains).size === domains.length;
  }, 'a domain twice');

const nodeEndpoint = z
  .strictObject({
    endpoint_id: endpointId,
    public: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{58})$/),
    opens: timestamp,
    closes: timestamp,
  })
  .refine(({ opens, closes }) => Date.parse(closes) > Date.parse(opens), 'closes before it opens');

const entryFields = {
  mixnet: hex64,
  number: z.int().min(1),
  peer_id: peerId,
  controller_url: z.url({ protocol: /^https?$/ }).max(1024),
  paused: z.boolean(),
  endpoints: z.array(nodeEndpoint).max(ENDPOINTS_MAX),
};

/** A node's own word about where it is, signed by it for one snapshot of one mixnet. */
export const signedEntry = z.strictObject({ ...entryFields, signature: z.string().max(128) });

/** One snapshot: what everybody routes by until `valid_until`. */
export const snapshot = z
  .strictObject({
    number: z.int().min(1),
    previous: hex64,
    log_head: hex64,
    entries: z.array(signedEntry).max(NODES_MAX),
    traffic,
    valid_from: timestamp,
    valid_until: timestamp,
  })
  .refine((text) => Date.parse(text.valid_until) > Date.parse(text.valid_from), 'never valid');

export type PacketParams = z.output<typeof packetParams>;
/** Founding terms of a mixnet over Sphinx: what `key_data` of its peer says. */
export type Founding = FoundingTerms & { backend: 'SPHINXMIX'; params: PacketParams };
export type LogNode = z.output<typeof logNode>;
export type LogEntry = z.output<typeof logEntry>;
export type TrafficText = z.output<typeof traffic>;
export type SignedEntry = z.output<typeof signedEntry>;
export type Entry = Omit<SignedEntry, 'signature'>;
export type Snapshot = z.output<typeof snapshot>;

/** The rule where nothing else is said: more than half of the owners (design §7). */
export function moreThanHalf(owners: number): Rule {
  return { m: Math.floor(owners / 2) + 1, n: owners };
}

/** The terms in a mixnet's `key_data`, or null where it is not exactly a founding text of ours. */
export function parseMixnet(keyData: string): Founding | null {
  const terms = parseFounding(keyData);
  const params = packetParams.safeParse(terms?.params);
  if (terms?.backend !== 'SPHINXMIX' || !params.success) return null;
  return { ...terms, backend: terms.backend, params: params.data };
}

/** D4.2's parameter names to ours. */
export function sphinxParamsOf(params: PacketParams): SphinxParams {
  return { group: params.GROUP, headerLen: params.HEADER_LEN, bodyLen: params.BODY_LEN };
}

/**
 * Why packets of these parameters cannot carry the agreed path, or have no room for mail, as a sentence
 * with the sum, or null.
 * The path is the mixes and the exit and, back in a reply block, the mixes and the entry (design §6).
 */
export function refuseTerms(params: PacketParams, mixesPerRoute: number): string | null {
  const sphinx = sphinxParamsOf(params);
  const hops = mixesPerRoute + 1;
  return (
    refuseParams(sphinx) ??
    refusePath(sphinx, hops, 'forward') ??
    refusePath(sphinx, hops, 'reply') ??
    refuseGeometry(sphinx)
  );
}

/** A node's entry with its signature over label and canonical text. */
export function signEntry(primitives: Primitives, identity: Identity, entry: Entry): SignedEntry {
  return { ...entry, signature: signText(primitives, identity, entryText(entry)) };
}

/** Whether the node that the entry names has signed it. */
export function verifyEntry(primitives: Primitives, signed: SignedEntry): boolean {
  const { signature, ...entry } = signed;
  return verifyText(primitives, entry.peer_id, entryText(entry), signature);
}

// The label keeps a signed entry from being taken for a contribution or a request of the same key.
function entryText(entry: Entry): string {
  return `${LABELS.directoryEntry}\n${canonicalText(entry)}`;
}
