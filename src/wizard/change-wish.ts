/**
 * What a change asks for, and the log entry that comes of it: a wish is applied to whatever the log's head
 * is, so that it can be proposed anew when somebody else's change came first. Pure.
 */
import type { Ownership, Rule } from '../api/peer.ts';
import { isOwnership } from '../api/peer.ts';
import type { ChangeWish } from '../mixer/operator-file.ts';
import {
  logEntry,
  moreThanHalf,
  refuseTerms,
  type LogEntry,
  type LogNode,
  type PacketParams,
} from '../mixnet/directory-texts.ts';
import { refuseLifetimes } from '../mixnet/key-epochs.ts';

export type { ChangeWish } from '../mixer/operator-file.ts';

/** What the log says at one entry: the entry, and who owns the mixnet from it on. */
export interface Standing extends Ownership {
  readonly entry: LogEntry;
}

/** What a change is made to. */
export interface ChangeBase {
  readonly standing: Standing;
  /** SHA-256 of the head's text. */
  readonly logHead: string;
  readonly params: PacketParams;
}

/** What comes of a wish, or why nothing can, as a sentence. */
export type Applied =
  | { readonly ok: true; readonly standing: Standing }
  | { readonly ok: false; readonly refused: string };

/** A wish that cannot be: unwinds to `applyWish`, never further. */
class Unfit extends Error {}

/** Values that `set` may name, and where they stand. */
const TRAFFIC = [
  'delay_mean_ms',
  'ticks_per_second',
  'loops_per_second',
  'mixes_per_route',
  'expiry_ms',
] as const;
const LIFETIMES = ['snapshot_lifetime_ms', 'key_lifetime_ms'] as const;

/** Names that `ChangeWish.set` may hold. */
export const SETTABLE: readonly string[] = [...TRAFFIC, ...LIFETIMES];

/**
 * The entry that follows the head where a wish is granted.
 * @param self who wishes: of whose node roles, weight and domains are meant where none is named
 * @param guests nodes of those who join, each its own owner's
 */
export function applyWish(
  base: ChangeBase,
  self: string,
  wish: ChangeWish,
  guests: readonly LogNode[] = [],
): Applied {
  try {
    const standing = standingAfter(base, self, wish, guests);
    const refused = refuseStanding(standing, base.params);
    return refused === null ? { ok: true, standing } : { ok: false, refused };
  } catch (thrown) {
    if (thrown instanceof Unfit) return { ok: false, refused: thrown.message };
    throw thrown;
  }
}

/**
 * Nodes that stand for guests who have not joined yet: whether a wish can be at all, the rule for so many
 * owners among it, is to be known before anybody is invited.
 */
export function placeholders(wish: ChangeWish): LogNode[] {
  return Array.from({ length: wish.invite ?? 0 }, (_, index) => {
    const id = index.toString(16).padStart(64, '0');
    return { peer_id: id, owner: id, roles: ['mix'], domains: [], weight: 1 };
  });
}

/** Whether a peer id is one of `placeholders`: who it will be is not known yet. */
export function isPlaceholder(peerId: string): boolean {
  return peerId.startsWith('0'.repeat(48));
}

/** Why an entry cannot stand in the log of a mixnet, as a sentence, or null. */
export function refuseStanding(
  { entry, owners, rule }: Standing,
  params: PacketParams,
): string | null {
  if (!isOwnership({ owners, rule })) return 'the rule does not count the owners that there are';
  const parsed = logEntry.safeParse(entry);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
    return `the change leaves no valid list of nodes: ${issues.join('; ')}`;
  }
  const orphan = entry.nodes.find((node) => !owners.includes(node.owner));
  if (orphan) return `the node ${short(orphan.peer_id)} would belong to nobody who owns the mixnet`;
  return (
    refuseTerms(params, entry.traffic.mixes_per_route) ??
    refuseLifetimes({
      keyLifetimeMs: entry.key_lifetime_ms,
      snapshotLifetimeMs: entry.snapshot_lifetime_ms,
    })
  );
}

function standingAfter(
  { standing: before, logHead }: ChangeBase,
  self: string,
  wish: ChangeWish,
  guests: readonly LogNode[],
): Standing {
  const { owners: _owners, rule: _rule, ...entry } = before.entry;
  const ownership = ownershipOf(before, wish, guests);
  const isKept = ownership.owners.join() === before.owners.join() && sameRule(ownership, before);
  return {
    ...ownership,
    entry: {
      ...entry,
      previous: logHead,
      nodes: nodesOf(before, self, wish, guests),
      ...valuesOf(before.entry, wish.set ?? {}),
      ...(!isKept && { owners: [...ownership.owners], rule: ownership.rule }),
    },
  };
}

function ownershipOf(before: Standing, wish: ChangeWish, guests: readonly LogNode[]): Ownership {
  const removed = wish.remove_owners ?? [];
  const unknown = removed.find((owner) => !before.owners.includes(owner));
  if (unknown !== undefined) throw new Unfit(`${short(unknown)} does not own the mixnet`);
  const kept = before.owners.filter((owner) => !removed.includes(owner));
  const owners = [...new Set([...kept, ...guests.map((guest) => guest.owner)])].toSorted();
  if (owners.length === 0) throw new Unfit('a mixnet without owners could never be changed again');
  return { owners, rule: ruleOf(before, owners.length, wish.rule) };
}

/** As asked; else the same kind of rule as before, for as many as there are now. */
function ruleOf(before: Ownership, count: number, wished: ChangeWish['rule']): Rule {
  const half = moreThanHalf(before.owners.length);
  const wasHalf = before.rule !== 'all' && before.rule.m === (half as { m: number }).m;
  if (wished === 'more-than-half' || (wished === undefined && wasHalf)) return moreThanHalf(count);
  if (wished !== undefined) return wished;
  return before.rule === 'all' ? 'all' : { m: Math.min(before.rule.m, count), n: count };
}

function sameRule(left: Ownership, right: Ownership): boolean {
  return JSON.stringify(left.rule) === JSON.stringify(right.rule);
}

function nodesOf(
  before: Standing,
  self: string,
  wish: ChangeWish,
  guests: readonly LogNode[],
): LogNode[] {
  const gone = wish.remove_nodes ?? [];
  const unknown = gone.find((id) => !before.entry.nodes.some((node) => node.peer_id === id));
  if (unknown !== undefined) throw new Unfit(`the mixnet has no node ${short(unknown)}`);
  const kept = before.entry.nodes.filter(
    (node) => !gone.includes(node.peer_id) && !wish.remove_owners?.includes(node.owner),
  );
  const edited = editNode(kept, self, wish);
  return [...edited, ...guests].toSorted((left, right) => (left.peer_id < right.peer_id ? -1 : 1));
}

/** Roles, weight and domains of one node; a domain that another node serves moves from there. */
function editNode(nodes: readonly LogNode[], self: string, wish: ChangeWish): LogNode[] {
  const { add_domains = [], remove_domains = [], weight, roles, node: named } = wish;
  const isEdit = add_domains.length + remove_domains.length > 0 || weight !== undefined;
  if (!isEdit && roles === undefined) return [...nodes];
  const id = named ?? self;
  const present = nodes.find((node) => node.peer_id === id);
  // An owner whose node was not there yet, or is no more, names it by its roles.
  if (!present && (id !== self || roles === undefined)) {
    throw new Unfit(`the mixnet has no node ${short(id)}: a new one needs roles`);
  }
  const added = add_domains.map((domain) => domain.toLowerCase());
  const removed = remove_domains.map((domain) => domain.toLowerCase());
  const absent = removed.find((domain) => !present?.domains.includes(domain));
  if (absent !== undefined) throw new Unfit(`${absent} is not served by ${short(id)}`);
  const node: LogNode = present ?? { peer_id: id, owner: id, roles: [], domains: [], weight: 1 };
  const domains = [...node.domains, ...added].filter((domain) => !removed.includes(domain));
  const edited: LogNode = {
    ...node,
    roles: roles ? [...new Set(roles)].toSorted() : node.roles,
    weight: weight ?? node.weight,
    domains: [...new Set(domains)].toSorted(),
  };
  const others = nodes
    .filter((one) => one.peer_id !== id)
    .map((one) => ({ ...one, domains: one.domains.filter((domain) => !added.includes(domain)) }));
  return [...others, edited];
}

function valuesOf(
  entry: LogEntry,
  set: Readonly<Record<string, number>>,
): Pick<LogEntry, 'traffic' | 'snapshot_lifetime_ms' | 'key_lifetime_ms'> {
  const unknown = Object.keys(set).find((name) => !SETTABLE.includes(name));
  if (unknown !== undefined) {
    throw new Unfit(`${unknown} is none of ${SETTABLE.join(', ')}`);
  }
  const of = (names: readonly string[]): Record<string, number> =>
    Object.fromEntries(Object.entries(set).filter(([name]) => names.includes(name)));
  const { snapshot_lifetime_ms, key_lifetime_ms } = entry;
  return {
    traffic: { ...entry.traffic, ...of(TRAFFIC) },
    snapshot_lifetime_ms,
    key_lifetime_ms,
    ...of(LIFETIMES),
  };
}

function short(peerId: string): string {
  return `${peerId.slice(0, 8)}…`;
}
