/**
 * The first log entry between wishes and signature (design §8): each owner says what his node is to be,
 * the coordinator merges, and everybody looks at all of it before he signs.
 */
import { canonicalText } from '../api/canonical.ts';
import type { ContributionBody } from '../api/contribution.ts';
import { signaturesNeeded, type Rule } from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import type { Draft } from '../client/agree.ts';
import type { Meeting, Statement } from '../client/meeting.ts';
import { readRounds, sameTerms, type Reading } from '../client/rounds.ts';
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
  return partsOf(ground, { previous: ground.mixnetId, nodes: [node], ...terms });
}

/** The nodes that were named so far, one by each owner. */
export function namedNodes(meeting: Meeting, ground: Ground): LogNode[] {
  return ground.owners.flatMap((owner) => wishOf(meeting, owner) ?? []);
}

/** Log entries as they are read in words: proposals are marked as such, wishes are not. */
export const NODES_READING: Reading<LogEntry> = {
  proposal: ({ body }) => (body.meta['proposes'] === true ? entryIn(body.data) : null),
  answer: ({ body }) => entryIn(body.data),
};

/** Two nodes that claim one domain, as a sentence, or null. */
export function refuseClaims(nodes: readonly LogNode[]): string | null {
  const claimed = new Map<string, string>();
  for (const node of nodes) {
    for (const domain of node.domains) {
      const first = claimed.get(domain);
      if (first !== undefined) {
        return `${domain} is claimed by ${first.slice(0, 8)}… and by ${node.peer_id.slice(0, 8)}…`;
      }
      claimed.set(domain, node.peer_id);
    }
  }
  return null;
}

/**
 * All wishes in one entry; null while some owner has not named his node.
 * @param without owners on whom nobody waits any more
 */
export function composeEntry(
  meeting: Meeting,
  ground: Ground,
  terms: Terms,
  without: readonly string[] = [],
): LogEntry | null {
  const owners = ground.owners.filter((owner) => !without.includes(owner));
  const nodes = owners
    .flatMap((owner) => wishOf(meeting, owner) ?? [])
    .toSorted((left, right) => (left.peer_id < right.peer_id ? -1 : 1));
  if (nodes.length < owners.length) return null;
  return { previous: ground.mixnetId, nodes, ...terms };
}

/** A log entry as a word or a text has it. */
export function entryDraft(ground: Ground, entry: LogEntry): Draft {
  return partsOf(ground, entry);
}

/** A log entry in a word's data; null where there is none. */
export function entryIn(data: unknown): LogEntry | null {
  const parsed = logEntry.safeParse((data as { log?: unknown } | null)?.log);
  return parsed.success ? parsed.data : null;
}

/** Owners without whom a proposal goes on, as it says. */
export function withoutIn(statement: Statement): readonly string[] {
  const without: unknown = statement.body.meta['without'];
  return Array.isArray(without) ? without.filter((key) => typeof key === 'string') : [];
}

/** Null where an entry holds exactly what every owner in it asked for; else what is wrong. */
export function reviewEntry(
  entry: LogEntry,
  meeting: Meeting,
  ground: Ground,
  own: LogNode,
  without: readonly string[],
): string | null {
  if (entry.previous !== ground.mixnetId) return 'log-broken';
  // The first entry names nodes; who owns the mixnet was agreed with its founding.
  if (entry.owners !== undefined) return 'owners-changed';
  const mine = entry.nodes.find((node) => node.peer_id === own.peer_id);
  if (canonicalText(mine ?? null) !== canonicalText(own)) return 'own-node-changed';
  const owners = ground.owners.filter((owner) => !without.includes(owner));
  if (owners.length < signaturesNeeded(ground.rule, ground.owners.length)) return 'rule-not-met';
  if (entry.nodes.length !== owners.length) return 'nodes-miscounted';
  for (const node of entry.nodes) {
    if (!owners.includes(node.owner)) return 'node-of-stranger';
    const wish = node.owner === own.owner ? own : wishOf(meeting, node.owner);
    if (wish && canonicalText(wish) !== canonicalText(node)) return 'node-unasked';
  }
  return refuseTerms(ground.params, entry.traffic.mixes_per_route) === null
    ? null
    : 'path-too-long';
}

/** Null where a text may be signed: it is the proposal that we have accepted, which we look at once more. */
export function reviewNodes(
  primitives: Primitives,
  body: ContributionBody,
  meeting: Meeting,
  ground: Ground,
  own: LogNode,
): string | null {
  const entry = entryIn(body.data);
  if (!entry) return 'log-malformed';
  const whole = canonicalText(partsOf(ground, entry));
  if (canonicalText({ data: body.data, info: body.info }) !== whole) return 'log-malformed';
  const rounds = readRounds(primitives, meeting, ground.coordinator, NODES_READING);
  if (!rounds) return 'nodes-unproposed';
  const { statement, terms } = rounds.current;
  const without = withoutIn(statement);
  const reason = reviewEntry(entry, meeting, ground, own, without);
  if (reason !== null) return reason;
  const hasAccepted = rounds.standingOf(own.owner).stand === 'agrees';
  if (!hasAccepted || !sameTerms(terms, entry)) return 'entry-unaccepted';
  const signers = ground.owners.filter((owner) => !without.includes(owner));
  if (canonicalText(body.meta.signers) !== canonicalText(signers)) return 'signers-differ';
  const ids = meeting.statements.flatMap(({ signer, body: said }) =>
    signer === ground.coordinator ? (said.meta.next_negotiation_id ?? []) : [],
  );
  const isNamed = ids.some((id) => hashText(primitives, id) === body.meta.next_negotiation_hash);
  return isNamed ? null : 'next-negotiation-differs';
}

/** Why packets of these parameters are of no use for mail over so many mixes, with the sum, or null. */
export function refuseForMail(params: PacketParams, mixesPerRoute: number): string | null {
  if (params.GROUP !== 'X25519') return 'mail needs GROUP X25519: its links would be too slow else';
  return refuseTerms(params, mixesPerRoute);
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

/** The node that an owner asked for last, or null. */
function wishOf(meeting: Meeting, owner: string): LogNode | null {
  const said = meeting.statements.findLast(
    ({ signer, accepts, body }) =>
      signer === owner && !accepts && !('answers' in body.meta) && body.meta['proposes'] !== true,
  );
  const nodes = (said?.body.data as { log?: { nodes?: unknown } } | undefined)?.log?.nodes;
  if (!Array.isArray(nodes)) return null;
  const parsed = logNode.safeParse(nodes[0]);
  const isOwn = parsed.success && parsed.data.peer_id === owner && parsed.data.owner === owner;
  return isOwn ? parsed.data : null;
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
