/**
 * What `panoramix status` says of a node's directory: how long it holds, who serves it and who does not, who has
 * signed what he should not, and what waits for the operator. Read from the files of the node.
 */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { native } from '../crypto/native.ts';
import { readIfThere } from '../durable-file.ts';
import { nodeByPeer, type Directory } from '../mixnet/directory.ts';
import { ownersMissing } from '../mixnet/route.ts';
import { readNodes, timeReason } from '../mixnet/verify-nodes.ts';
import { isControllerTrouble } from '../mixer/controller-watch.ts';
import { readDirectoryReport, SERVING } from '../mixer/directory-report.ts';
import { openEvidence, readEvidence } from '../mixer/evidence.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { OperatorFile } from '../mixer/operator-file.ts';
import { paceOf } from '../mixer/pace.ts';
import { formatDuration, type Terminal } from '../terminal.ts';

/** The directory that a node routes by; times are Unix ms, peers and nodes their ids. */
export interface DirectoryStatus {
  readonly mixnet: string;
  /** `valid`, or the reason why mail waits. */
  readonly state: string;
  readonly number: number | null;
  readonly nodes: number;
  readonly valid_until: number | null;
  /** When the nodes agree on the next one. */
  readonly next_due: number | null;
  /** Why they do not, and since when. */
  readonly trouble: { readonly reason: string; readonly since: number } | null;
  /** Whether the operator has paused this node. */
  readonly paused: boolean;
  /** Nodes that take no new routes. */
  readonly paused_nodes: readonly string[];
  /** Nodes of the log that have signed no entry of this snapshot: nothing goes to them. */
  readonly missing_nodes: readonly string[];
  /** Nodes that have signed a URL to which nobody posts, and why. */
  readonly left_out: readonly { readonly node: string; readonly reason: string }[];
  /** How many more owners of mixes the worst route needs; above 0 its mail waits. */
  readonly owners_missing: number;
  /** By URL: `serving`, or the reason why not, since when, and the highest number that it has served. */
  readonly controllers: Readonly<
    Record<
      string,
      { readonly state: string; readonly since: number; readonly number: number | null }
    >
  >;
  /** Numbers of which there are two snapshots, who signed both, and whether mail waits for that. */
  readonly equivocations: readonly {
    readonly number: number;
    readonly signed_both: readonly string[];
    readonly waits: boolean;
  }[];
  /** Nodes that signed two entries for a number, and were left out of it. */
  readonly two_faced: readonly { readonly node: string; readonly number: number }[];
  /** Changes of the log that other owners propose: to be looked at with `panoramix wizard`. */
  readonly pending_changes: readonly {
    readonly negotiation: string;
    readonly proposer: string;
  }[];
}

/** Reads it; null where the configuration is no node's. */
export function readDirectoryStatus(config: Config, nowMs: number): DirectoryStatus | null {
  if (!config.node) return null;
  const file = new MixnetStateFile(config.node.mixnet_file).read();
  const mixnet = file?.mixnet_id ?? '';
  const findings = readDirectoryReport(config.data_dir);
  const operator = new OperatorFile(config.node.mixnet_file).read();
  const { directory, state } =
    mixnet === ''
      ? { directory: null, state: 'mixnet-missing' }
      : held(config.data_dir, mixnet, nowMs);
  const evidence = readEvidence(config.data_dir, mixnet);
  const open = openEvidence(evidence, directory?.logHead ?? null, operator.forgiven);
  const controllers = Object.entries(findings?.controllers ?? {}).map(
    ([url, { state: how, since_ms: since, number }]) => [url, { state: how, since, number }],
  );
  return {
    mixnet,
    state: open.length > 0 ? 'snapshot-equivocated' : state,
    number: directory?.number ?? null,
    nodes: directory?.nodes.length ?? 0,
    valid_until: directory?.validUntilMs ?? null,
    next_due: directory && directory.validFromMs + paceOf(directory.snapshotLifetimeMs).dueMs,
    trouble: findings?.trouble
      ? { reason: findings.trouble.reason, since: findings.trouble.since_ms }
      : null,
    paused: operator.paused,
    paused_nodes: nodesOf(directory, (node) => node.paused),
    missing_nodes: nodesOf(directory, (node) => node.controllerUrl === ''),
    left_out: (directory?.nodes ?? []).flatMap(({ peerId: node, leftOut: reason }) =>
      reason ? [{ node, reason }] : [],
    ),
    owners_missing: directory === null ? 0 : missingOnWorst(directory, file?.peer_id ?? '', nowMs),
    controllers: Object.fromEntries(controllers) as DirectoryStatus['controllers'],
    equivocations: evidence.map((one) => ({
      number: one.number,
      signed_both: one.signedBoth,
      waits: open.includes(one),
    })),
    two_faced: Object.entries(findings?.two_faced ?? {}).map(([node, { number }]) => ({
      node,
      number,
    })),
    pending_changes: (file?.pending_changes ?? []).map((one) => ({
      negotiation: one.negotiation_id,
      proposer: one.proposer,
    })),
  };
}

/** Whether nothing of it needs an operator. */
export function isDirectoryWell(status: DirectoryStatus | null): boolean {
  if (status === null) return true;
  const bad = Object.values(status.controllers).some(({ state }) => isControllerTrouble(state));
  return status.state === 'valid' && !bad && status.owners_missing === 0 && !status.trouble;
}

/** Prints it, what is not as it should be in colour. */
export function printDirectory(status: DirectoryStatus, terminal: Terminal, nowMs: number): void {
  const until = status.valid_until && new Date(status.valid_until).toISOString();
  const due = status.next_due && new Date(status.next_due).toISOString();
  terminal.line(
    `directory  ${status.state}${until ? `, number ${status.number}, ${status.nodes} nodes, until ${until}, next due ${due}` : ''}`,
  );
  const warn = (text: string): void => terminal.line(terminal.paint('yellow', `  ${text}`));
  const ago = (ms: number): string => formatDuration(Math.max(0, nowMs - ms));
  const { trouble, owners_missing: missing } = status;
  if (trouble) warn(`no agreement for ${ago(trouble.since)}: ${trouble.reason}`);
  for (const [url, one] of Object.entries(status.controllers)) {
    if (one.state === SERVING) continue;
    const line = `${url} for ${ago(one.since)}: ${one.state}`;
    terminal.line(
      isControllerTrouble(one.state) ? terminal.paint('red', `  ${line}`) : `  ${line}`,
    );
  }
  for (const one of status.equivocations) {
    const who = one.signed_both.map(short).join(', ');
    const so = one.waits ? 'mail waits' : 'settled';
    warn(`two snapshots of number ${one.number}, both signed by ${who}: ${so}`);
  }
  for (const one of status.two_faced) {
    warn(`node ${short(one.node)} signed two entries for number ${one.number}`);
  }
  if (missing > 0) warn(`some routes lack mixes of ${missing} more owners: their mail waits`);
  if (status.paused) warn('this node is paused');
  for (const node of status.paused_nodes) terminal.line(`  node ${short(node)} is paused`);
  for (const node of status.missing_nodes) warn(`node ${short(node)} is not in this snapshot`);
  for (const one of status.left_out) warn(`nothing goes to node ${short(one.node)}: ${one.reason}`);
  for (const change of status.pending_changes) {
    warn(
      `${short(change.proposer)} proposes a change: panoramix wizard change --review ${change.negotiation}`,
    );
  }
}

function held(
  dataDir: string,
  mixnet: string,
  nowMs: number,
): { readonly directory: Directory | null; readonly state: string } {
  const text = readIfThere(join(dataDir, 'directory.json'));
  if (text === null) return { directory: null, state: 'directory-missing' };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = null;
  }
  const read = readNodes(json, mixnet, native);
  if (!read.ok) return { directory: null, state: read.reason };
  return { directory: read.directory, state: timeReason(read.directory, nowMs) ?? 'valid' };
}

function nodesOf(
  directory: Directory | null,
  is: (node: Directory['nodes'][number]) => boolean,
): string[] {
  return (directory?.nodes ?? []).filter(is).map(({ peerId }) => peerId);
}

/** From this gateway, or at a mix from any, to any other. */
function missingOnWorst(directory: Directory, me: string, nowMs: number): number {
  const gateways = nodesOf(directory, (node) => node.roles.includes('gateway'));
  const isGateway = nodeByPeer(directory, me)?.roles.includes('gateway') === true;
  const entries = isGateway ? [me] : gateways;
  const missing = entries.flatMap((entry) =>
    gateways
      .filter((exit) => exit !== entry)
      .map((exit) => ownersMissing({ directory, entry, exit, nowMs })),
  );
  return Math.max(0, ...missing);
}

function short(peerId: string): string {
  return peerId.slice(0, 16);
}
