/**
 * What a change of the log comes to, for people: who and what is added, removed, altered. Pure.
 */
import { canonicalText } from '../api/canonical.ts';
import type { LogNode } from '../mixnet/directory-texts.ts';
import { isPlaceholder, type Standing } from './change-wish.ts';
import type { Difference } from './decisions.ts';

/** One thing that differs. */
export interface ChangeLine {
  readonly kind: 'added' | 'removed' | 'altered';
  /** Such as `owner 1a2b3c4d…`, `domain alpha.example`, `delay_mean_ms`. */
  readonly what: string;
  /** Null where it was not, or is no more. */
  readonly before: unknown;
  readonly after: unknown;
  /** The same as a sentence without a full stop. */
  readonly text: string;
}

/** Everything that differs between two entries: owners and rule, nodes, domains, traffic, lifetimes. */
export function describeChange(before: Standing, after: Standing): ChangeLine[] {
  return [
    ...ownerLines(before, after),
    ...nodeLines(before, after),
    ...domainLines(before, after),
    ...valueLines(before, after),
  ];
}

/** As an operator's question holds them: what is now, and what is proposed. */
export function differencesOf(lines: readonly ChangeLine[]): Difference[] {
  return lines.map(({ what, before, after }) => ({ name: what, ours: before, theirs: after }));
}

/** Domains that a change brings into the log, or moves to another node: each wants its proof. */
export function newDomains(
  before: Standing,
  after: Standing,
): { readonly domain: string; readonly peerId: string }[] {
  const served = servedBy(before);
  return [...servedBy(after)].flatMap(([domain, peerId]) =>
    served.get(domain) === peerId ? [] : [{ domain, peerId }],
  );
}

function ownerLines(before: Standing, after: Standing): ChangeLine[] {
  const added = after.owners
    .filter((owner) => !before.owners.includes(owner))
    .map((owner) => {
      const who = isPlaceholder(owner) ? 'who joins with an invitation' : owner;
      return lineOf('added', `owner ${short(owner)}`, null, owner, `${who} becomes an owner`);
    });
  const removed = before.owners
    .filter((owner) => !after.owners.includes(owner))
    .map((owner) =>
      lineOf('removed', `owner ${short(owner)}`, owner, null, `${owner} is no owner any more`),
    );
  return [...added, ...removed, ...altered('rule for changes', ruleText(before), ruleText(after))];
}

function nodeLines(before: Standing, after: Standing): ChangeLine[] {
  const [then, now] = [before, after].map(
    ({ entry }) => new Map(entry.nodes.map((node) => [node.peer_id, node])),
  ) as [Map<string, LogNode>, Map<string, LogNode>];
  const lines: ChangeLine[] = [];
  for (const [id, node] of now) {
    const old = then.get(id);
    const what = `node ${short(id)}`;
    if (old === undefined) {
      const roles = node.roles.join(' and ');
      const text = isPlaceholder(id)
        ? 'a node of theirs joins, as they wish'
        : `${what} joins as ${roles} of ${short(node.owner)}, weight ${node.weight}`;
      lines.push(lineOf('added', what, null, roles, text));
      continue;
    }
    lines.push(
      ...altered(`${what}: owner`, short(old.owner), short(node.owner)),
      ...altered(`${what}: roles`, old.roles.join(' and '), node.roles.join(' and ')),
      ...altered(`${what}: weight`, old.weight, node.weight),
    );
  }
  for (const [id, node] of then) {
    if (now.has(id)) continue;
    const what = `node ${short(id)}`;
    const text = `${what} of ${short(node.owner)} leaves`;
    lines.push(lineOf('removed', what, node.roles.join(' and '), null, text));
  }
  return lines;
}

function domainLines(before: Standing, after: Standing): ChangeLine[] {
  const [then, now] = [servedBy(before), servedBy(after)];
  const lines: ChangeLine[] = [];
  for (const [domain, id] of now) {
    const old = then.get(domain);
    const what = `domain ${domain}`;
    if (old === undefined) {
      lines.push(lineOf('added', what, null, short(id), `${domain} is served by ${short(id)}`));
    } else {
      lines.push(...altered(what, short(old), short(id), `${domain} moves`));
    }
  }
  for (const [domain, id] of then) {
    if (now.has(domain)) continue;
    const text = `${domain} is no more in the mixnet: its mail travels as any other`;
    lines.push(lineOf('removed', `domain ${domain}`, short(id), null, text));
  }
  return lines;
}

function valueLines(before: Standing, after: Standing): ChangeLine[] {
  const [then, now] = [valuesOf(before), valuesOf(after)];
  return Object.keys(now).flatMap((name) => altered(name, then[name], now[name]));
}

function valuesOf({ entry }: Standing): Record<string, number> {
  const { traffic, snapshot_lifetime_ms, key_lifetime_ms } = entry;
  return { ...traffic, snapshot_lifetime_ms, key_lifetime_ms };
}

function altered(what: string, before: unknown, after: unknown, subject = what): ChangeLine[] {
  if (canonicalText(before) === canonicalText(after)) return [];
  const text = `${subject}: from ${String(before)} to ${String(after)}`;
  return [lineOf('altered', what, before, after, text)];
}

function lineOf(
  kind: ChangeLine['kind'],
  what: string,
  before: unknown,
  after: unknown,
  text: string,
): ChangeLine {
  return { kind, what, before, after, text };
}

function servedBy({ entry }: Standing): Map<string, string> {
  return new Map(
    entry.nodes.flatMap((node) => node.domains.map((domain) => [domain, node.peer_id] as const)),
  );
}

function ruleText({ owners, rule }: Standing): string {
  return rule === 'all' ? `all ${owners.length}` : `${rule.m} of ${rule.n}`;
}

function short(peerId: string): string {
  return `${peerId.slice(0, 8)}…`;
}
