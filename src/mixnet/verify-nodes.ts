/**
 * Verifies a nodes.json from the mixnet id alone: what verify-log.ts found, then the snapshot and each
 * node's entry. The controller that served it is taken for an adversary; it may withhold, but nothing
 * that it changes passes. Every check has its own reason.
 */
import { isInsecureUrl, isLoopbackUrl } from '../api/controller-url.ts';
import { CLOCK_SKEW_MS, hashText } from '../api/signed.ts';
import { fromHex } from '../bytes.ts';
import { nodeAddress } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Directory, DirectoryNode, Traffic, UrlReason } from './directory.ts';
import {
  refuseTerms,
  snapshot as snapshotSchema,
  sphinxParamsOf,
  verifyEntry,
  type Founding,
  type LogEntry,
  type SignedEntry,
  type Snapshot,
  type TrafficText,
} from './directory-texts.ts';
import { refuseLifetimes } from './key-epochs.ts';
import {
  changeOf,
  check,
  checkRule,
  Refusal,
  verifyFoundation,
  verifyRecord,
  type DirectoryReason,
} from './verify-log.ts';

export type { DirectoryReason } from './verify-log.ts';

/** What `verifyNodes` answers. */
export type Verified =
  | { readonly ok: true; readonly directory: Directory }
  | { readonly ok: false; readonly reason: DirectoryReason };

/** What `readNodes` answers: the directory, and the hash of every log entry, oldest first. */
export type Read =
  | { readonly ok: true; readonly directory: Directory; readonly logHashes: readonly string[] }
  | { readonly ok: false; readonly reason: DirectoryReason };

/**
 * Checks a whole nodes.json.
 * @param json what a controller served, parsed
 * @param mixnetId 64 hex digits out of the mix-net URL: all that is believed beforehand
 * @param nowMs current time, ms since 1970
 */
export function verifyNodes(
  json: unknown,
  mixnetId: string,
  primitives: Primitives,
  nowMs: number,
): Verified {
  const read = readNodes(json, mixnetId, primitives);
  if (!read.ok) return read;
  const reason = timeReason(read.directory, nowMs);
  return reason ? { ok: false, reason } : { ok: true, directory: read.directory };
}

/** As `verifyNodes`, whatever the time is: for a directory that was valid when it was kept. */
export function readNodes(json: unknown, mixnetId: string, primitives: Primitives): Read {
  try {
    return { ok: true, ...verify(json, mixnetId, primitives) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.reason };
    throw error;
  }
}

/** Why a directory is not to be used at this time, or null. */
export function timeReason(
  directory: Directory,
  nowMs: number,
): 'directory-not-yet-valid' | 'directory-expired' | null {
  if (directory.validFromMs > nowMs + CLOCK_SKEW_MS) return 'directory-not-yet-valid';
  return nowMs < directory.validUntilMs ? null : 'directory-expired';
}

function verify(
  json: unknown,
  mixnetId: string,
  primitives: Primitives,
): { directory: Directory; logHashes: string[] } {
  const { terms, log, ownership, snapshot } = verifyFoundation(json, mixnetId, primitives);
  if (snapshot === null) throw new Refusal('snapshot-missing');
  const agreed = verifyRecord(snapshot, primitives);
  const parsed = snapshotSchema.safeParse(changeOf(agreed, mixnetId)['snapshot']);
  if (!parsed.success) throw new Refusal('snapshot-malformed');
  const head = log.get(parsed.data.log_head);
  const owned = ownership.get(parsed.data.log_head);
  if (!head || !owned) throw new Refusal('snapshot-log-mismatch');
  checkRule(agreed, owned);
  verifySnapshot(parsed.data, head, mixnetId, terms, primitives);
  const snapshotHash = hashText(primitives, agreed.text);
  const present = { ...terms, owners: [...owned.owners], rule: owned.rule };
  const directory = assemble(mixnetId, present, head, parsed.data, snapshotHash, primitives);
  return { directory, logHashes: [...log.keys()] };
}

function verifySnapshot(
  text: Snapshot,
  head: LogEntry,
  mixnetId: string,
  terms: Founding,
  primitives: Primitives,
): void {
  check(sameTraffic(text.traffic, head.traffic), 'snapshot-traffic-mismatch');
  check(
    Date.parse(text.valid_until) - Date.parse(text.valid_from) <= head.snapshot_lifetime_ms,
    'snapshot-lifetime-mismatch',
  );
  check(refuseTerms(terms.params, text.traffic.mixes_per_route) === null, 'path-too-long');
  const { key_lifetime_ms: keyLifetimeMs, snapshot_lifetime_ms: snapshotLifetimeMs } = head;
  check(refuseLifetimes({ keyLifetimeMs, snapshotLifetimeMs }) === null, 'lifetimes-unfit');
  const seen = new Set<string>();
  const known = new Set(head.nodes.map((node) => node.peer_id));
  for (const entry of text.entries) {
    check(known.has(entry.peer_id), 'entry-foreign');
    check(!seen.has(entry.peer_id), 'entry-repeated');
    seen.add(entry.peer_id);
    const refused = checkEntry(entry, mixnetId, text.number, terms, primitives);
    if (refused) throw new Refusal(refused);
  }
}

/**
 * A node's entry for one snapshot, checked as each node does before it signs a snapshot.
 * @returns null where it holds, else the reason
 */
export function checkEntry(
  entry: SignedEntry,
  mixnetId: string,
  number: number,
  terms: Founding,
  primitives: Primitives,
): DirectoryReason | null {
  if (entry.mixnet !== mixnetId) return 'entry-foreign';
  if (entry.number !== number) return 'entry-number-mismatch';
  const group = primitives.group(terms.params.GROUP);
  if (!entry.endpoints.every(({ public: key }) => group.accepts(fromHex(key) as Uint8Array))) {
    return 'entry-key-malformed';
  }
  return verifyEntry(primitives, entry) ? null : 'entry-signature-invalid';
}

function sameTraffic(left: TrafficText, right: TrafficText): boolean {
  return (
    left.delay_mean_ms === right.delay_mean_ms &&
    left.ticks_per_second === right.ticks_per_second &&
    left.loops_per_second === right.loops_per_second &&
    left.mixes_per_route === right.mixes_per_route &&
    left.expiry_ms === right.expiry_ms
  );
}

function assemble(
  mixnetId: string,
  terms: Founding,
  head: LogEntry,
  text: Snapshot,
  snapshotHash: string,
  primitives: Primitives,
): Directory {
  const entries = new Map(text.entries.map((entry) => [entry.peer_id, entry]));
  const isLocal = text.entries.every((entry) => isLoopbackUrl(entry.controller_url));
  return {
    mixnetId,
    name: terms.name,
    params: sphinxParamsOf(terms.params),
    owners: terms.owners,
    rule: terms.rule,
    number: text.number,
    snapshotHash,
    previousHash: text.previous,
    validFromMs: Date.parse(text.valid_from),
    validUntilMs: Date.parse(text.valid_until),
    snapshotLifetimeMs: head.snapshot_lifetime_ms,
    keyLifetimeMs: head.key_lifetime_ms,
    traffic: trafficOf(text.traffic),
    nodes: head.nodes.map((node) => {
      const read = nodeOf(node, entries.get(node.peer_id), primitives);
      const leftOut = read.controllerUrl === '' ? null : reasonAgainst(read.controllerUrl, isLocal);
      return leftOut === null ? read : { ...read, endpoints: [], leftOut };
    }),
    logHead: text.log_head,
  };
}

/**
 * Everybody comes to the same answer, from the snapshot alone: who routed otherwise would stand out by it. A
 * mixnet may live on one host; in any other a URL on loopback leads each node to what else runs beside it.
 */
function reasonAgainst(url: string, isLocal: boolean): UrlReason | null {
  if (isInsecureUrl(url)) return 'url-insecure';
  return !isLocal && isLoopbackUrl(url) ? 'url-loopback' : null;
}

function nodeOf(
  node: LogEntry['nodes'][number],
  entry: SignedEntry | undefined,
  primitives: Primitives,
): DirectoryNode {
  return {
    peerId: node.peer_id,
    owner: node.owner,
    roles: node.roles,
    domains: node.domains,
    weight: node.weight,
    paused: entry?.paused ?? false,
    controllerUrl: entry?.controller_url ?? '',
    endpoints: (entry?.endpoints ?? []).map((endpoint) => {
      const publicKey = fromHex(endpoint.public) as Uint8Array;
      return {
        endpointId: endpoint.endpoint_id,
        publicKey,
        address: nodeAddress(primitives, node.peer_id, publicKey),
        opensMs: Date.parse(endpoint.opens),
        closesMs: Date.parse(endpoint.closes),
      };
    }),
  };
}

function trafficOf(text: TrafficText): Traffic {
  return {
    delayMeanMs: text.delay_mean_ms,
    ticksPerSecond: text.ticks_per_second,
    loopsPerSecond: text.loops_per_second,
    mixesPerRoute: text.mixes_per_route,
    expiryMs: text.expiry_ms,
  };
}
