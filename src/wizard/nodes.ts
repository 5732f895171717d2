/**
 * The first log entry between wishes and signature (design §8): each owner says what his node is to be,
 * the coordinator merges, and everybody looks at all of it before he signs.
 */
import { canonicalText } from '../api/canonical.ts';
import type { ContributionBody } from '../api/contribution.ts';
import type { Rule } from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import type { Draft } from '../client/agree.ts';
import { lastWord, type Meeting } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import {
  logEntry,
  logNode,
  refuseTerms,
  type LogEntry,
  type LogNode,
  type PacketParams,
  type TrafficText,
} from '../mixnet/directory-texts.ts';
import type { NodeWish } from './options.ts';

/** What is known of the mixnet when its nodes are to be named. */
export interface Ground {
  readonly mixnetId: string;
  /** Consensus id of the founding: what the entry comes after. */
  readonly foundingConsensusId: string;
  readonly owners: readonly string[];
  readonly rule: Rule;
  readonly coordinator: string;
  readonly params: PacketParams;
}

/** What the coordinator proposes besides his own node. */
export interface Terms {
  readonly traffic: TrafficText;
  readonly snapshot_lifetime_ms: number;
  readonly key_lifetime_ms: number;
}

/**
 * A wish as it stands in the log.
 * @throws PanoramixError `config-invalid` where it cannot stand there
 */
export function nodeOf(peerId: string, wish: NodeWish): LogNode {
  const parsed = logNode.safeParse({
    peer_id: peerId,
    owner: peerId,
    roles: [...new Set(wish.roles)].toSorted(),
    domains: [...new Set(wish.domains.map((domain) => domain.toLowerCase()))].toSorted(),
    weight: wish.weight ?? 1,
  });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new PanoramixError('config-invalid', `the node cannot be named so: ${issues.join('; ')}`);
}

/** An owner's first word about the nodes: his own; the coordinator's also has the traffic. */
export function wishNode(ground: Ground, node: LogNode, terms?: Terms): Draft {
  return draft(ground, { previous: ground.mixnetId, nodes: [node], ...terms });
}

/** The nodes that were named so far, one by each owner. */
export function namedNodes(meeting: Meeting, ground: Ground): LogNode[] {
  return ground.owners.flatMap((owner) => wishOf(meeting, owner) ?? []);
}

/**
 * All wishes in one text; null while some owner has not named his node.
 * @throws PanoramixError `agreement-refused` where two claim one domain
 */
export function composeNodes(
  meeting: Meeting,
  ground: Ground,
  terms: Terms,
): (Draft & { readonly signers: readonly string[] }) | null {
  const nodes = namedNodes(meeting, ground).toSorted((left, right) =>
    left.peer_id < right.peer_id ? -1 : 1,
  );
  if (nodes.length < ground.owners.length) return null;
  const claimed = new Map<string, string>();
  for (const node of nodes) {
    for (const domain of node.domains) {
      const first = claimed.get(domain);
      if (first !== undefined) {
        throw new PanoramixError(
          'agreement-refused',
          `${domain} is claimed by ${first.slice(0, 8)}… and by ${node.peer_id.slice(0, 8)}…`,
        );
      }
      claimed.set(domain, node.peer_id);
    }
  }
  const entry = { previous: ground.mixnetId, nodes, ...terms };
  return { ...draft(ground, entry), signers: ground.owners };
}

/** Null where the entry holds exactly what every owner asked for; else what is wrong. */
export function reviewNodes(
  primitives: Primitives,
  body: ContributionBody,
  meeting: Meeting,
  ground: Ground,
  own: LogNode,
): string | null {
  const parsed = logEntry.safeParse((body.data as { log?: unknown } | null)?.log);
  if (!parsed.success) return 'log-malformed';
  const entry = parsed.data;
  const whole = canonicalText(partsOf(ground, entry));
  if (canonicalText({ data: body.data, info: body.info }) !== whole) return 'log-malformed';
  if (entry.previous !== ground.mixnetId) return 'log-broken';
  // The first entry names nodes; who owns the mixnet was agreed with its founding.
  if (entry.owners !== undefined) return 'owners-changed';
  const mine = entry.nodes.find((node) => node.peer_id === own.peer_id);
  if (canonicalText(mine ?? null) !== canonicalText(own)) return 'own-node-changed';
  if (entry.nodes.length !== ground.owners.length) return 'nodes-miscounted';
  for (const node of entry.nodes) {
    if (!ground.owners.includes(node.owner)) return 'node-of-stranger';
    const wish = node.owner === own.owner ? own : wishOf(meeting, node.owner);
    // Who has signed the entry no longer shows his wish: his signature stands for it.
    if (wish && canonicalText(wish) !== canonicalText(node)) return 'node-unasked';
  }
  const terms = proposedTerms(meeting, ground);
  if (!terms) return 'traffic-unproposed';
  const { traffic, snapshot_lifetime_ms, key_lifetime_ms } = entry;
  const kept = { traffic, snapshot_lifetime_ms, key_lifetime_ms };
  if (canonicalText(terms) !== canonicalText(kept)) return 'traffic-changed';
  if (refuseTerms(ground.params, entry.traffic.mixes_per_route) !== null) return 'path-too-long';
  if (canonicalText(body.meta.signers) !== canonicalText(ground.owners)) return 'signers-differ';
  const ids = meeting.statements.flatMap(({ signer, body: said }) =>
    signer === ground.coordinator ? (said.meta.next_negotiation_id ?? []) : [],
  );
  const isNamed = ids.some((id) => hashText(primitives, id) === body.meta.next_negotiation_hash);
  return isNamed ? null : 'next-negotiation-differs';
}

/**
 * The fewest mixes that stand between two gateways: of other owners than both (design §10).
 * @returns the worst pair's number of owners; a lone gateway counts as a pair with itself
 */
export function mixesBetween(nodes: LogEntry['nodes']): number {
  const gateways = nodes.filter((node) => node.roles.includes('gateway'));
  const mixOwners = (without: readonly string[]): number =>
    new Set(
      nodes
        .filter((node) => node.roles.includes('mix') && !without.includes(node.owner))
        .map((node) => node.owner),
    ).size;
  const counts = gateways.flatMap((from) =>
    gateways.map((to) => mixOwners([from.owner, to.owner])),
  );
  return counts.length === 0 ? mixOwners([]) : Math.min(...counts);
}

/** What the coordinator said about traffic, in any of his words. */
function proposedTerms(meeting: Meeting, ground: Ground): Terms | null {
  for (const { signer, body, accepts } of meeting.statements) {
    if (signer !== ground.coordinator || accepts) continue;
    const parsed = logEntry.safeParse((body.data as { log?: unknown } | null)?.log);
    if (!parsed.success) continue;
    const { traffic, snapshot_lifetime_ms, key_lifetime_ms } = parsed.data;
    return { traffic, snapshot_lifetime_ms, key_lifetime_ms };
  }
  return null;
}

/** The node that an owner asked for last, or null. */
function wishOf(meeting: Meeting, owner: string): LogNode | null {
  const wishes = meeting.statements.filter(({ signer, accepts }) => signer === owner && !accepts);
  const said = wishes.at(-1) ?? lastWord(meeting, owner);
  const nodes = (said?.body.data as { log?: { nodes?: unknown } } | undefined)?.log?.nodes;
  if (!Array.isArray(nodes) || said?.accepts) return null;
  const parsed = logNode.safeParse(nodes[0]);
  const isOwn = parsed.success && parsed.data.peer_id === owner && parsed.data.owner === owner;
  return isOwn ? parsed.data : null;
}

function draft(ground: Ground, log: object): Draft {
  return partsOf(ground, log);
}

function partsOf(ground: Ground, log: object): { data: object; info: object } {
  return {
    data: { peer_id: ground.mixnetId, log },
    info: {
      resource: 'peer',
      operation: 'partial_update',
      on_last_consensus_id: ground.foundingConsensusId,
    },
  };
}
