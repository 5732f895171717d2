/**
 * A mixnet as it stands when its owners have founded it: on a real controller, through its API, each owner with
 * a state file that names where the first snapshot is agreed on. Who agrees on it are real `Epochs`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { combinedPeer, signaturesNeeded, type Rule } from '../../src/api/peer.ts';
import { hashText } from '../../src/api/signed.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, createMixKey, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog, type Log } from '../../src/log.ts';
import { moreThanHalf, type LogEntry } from '../../src/mixnet/directory-texts.ts';
import { DirectoryReport } from '../../src/mixer/directory-report.ts';
import { DirectoryStore, type NodesSource } from '../../src/mixer/directory-store.ts';
import { Epochs, type EpochOptions, type OwnPosition } from '../../src/mixer/epoch.ts';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { agreeTogether, type PrivateController } from '../controller/private-controller.ts';

export const LIFETIME_MS = 9 * 3_600_000;

/** One owner with his one node. */
export interface FoundedNode {
  readonly identity: Identity;
  readonly peerId: string;
  readonly dataDir: string;
  readonly client: ControllerClient & { readonly identity: Identity };
  readonly state: MixnetStateFile;
}

export interface Founded {
  readonly mixnetId: string;
  /** Sorted by peer id; the first is the gateway of `alpha.example`. */
  readonly nodes: readonly FoundedNode[];
  readonly bed: PrivateController;
  /** Where the first snapshot is agreed on. */
  readonly negotiationId: string;
  /** Adds a log entry that all owners sign. */
  change(next: (entry: LogEntry) => LogEntry): Promise<void>;
}

/** Founds with `count` owners. */
export async function foundOn(
  t: ExecutionContext,
  bed: PrivateController,
  count: number,
  wishes: { readonly rule?: Rule; readonly lifetimeMs?: number } = {},
): Promise<Founded> {
  const identities = Array.from({ length: count }, () => createIdentity(native)).toSorted(
    (left, right) => (left.peerId < right.peerId ? -1 : 1),
  );
  const rule = wishes.rule ?? moreThanHalf(count);
  const nodes = identities.map((identity) => nodeOf(t, bed, identity));
  const clients = nodes.map(({ client }) => client);
  for (const client of clients) await client.registerPeer('node');
  const [first] = clients as [(typeof clients)[0]];
  const owners = nodes.map(({ peerId }) => peerId);
  const data = combinedPeer(native, {
    name: 'founded',
    backend: 'SPHINXMIX',
    params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 2048 },
    owners,
    rule,
  });
  const mixnetId = data.key_id;
  const founding = await agreeTogether(clients, {
    data,
    info: { resource: 'peer', operation: 'create' },
  });
  await first.createPeer(data, founding);
  let last = { consensus: founding, previous: mixnetId };
  let entry = firstEntry(mixnetId, owners, wishes.lifetimeMs ?? LIFETIME_MS);
  const grow = async (): Promise<void> => {
    const change = { peer_id: mixnetId, log: { ...entry, previous: last.previous } };
    const info = {
      resource: 'peer',
      operation: 'partial_update',
      on_last_consensus_id: last.consensus,
    };
    const consensusId = await agreeTogether(clients, { data: change, info });
    const decision = { consensusId, onLastConsensusId: last.consensus };
    await first.updatePeer(mixnetId, change, decision);
    const record = await first.getNegotiation(consensusId);
    last = { consensus: consensusId, previous: hashText(native, record?.text ?? '') };
  };
  await grow();
  const among = { signers: owners, needed: signaturesNeeded(rule, count) };
  const negotiationId = await first.createNegotiation(among);
  for (const { state, peerId } of nodes) {
    state.write({
      version: 1,
      catalog_url: bed.url,
      peer_id: peerId,
      founding_negotiation_id: '',
      mixnet_id: mixnetId,
      nodes: owners,
      next_negotiation_id: negotiationId,
      signed: {},
    });
  }
  return {
    mixnetId,
    nodes,
    bed,
    negotiationId,
    change: async (next) => {
      entry = next(entry);
      await grow();
    },
  };
}

function nodeOf(t: ExecutionContext, bed: PrivateController, identity: Identity): FoundedNode {
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const client = Object.assign(
    new ControllerClient({ url: bed.url, identity, primitives: native, now: bed.now }),
    { identity },
  );
  const state = new MixnetStateFile(join(dataDir, 'mixnet.json'));
  return { identity, peerId: identity.peerId, dataDir, client, state };
}

function firstEntry(mixnetId: string, owners: readonly string[], lifetimeMs: number): LogEntry {
  return {
    previous: mixnetId,
    nodes: owners.map((owner, index) => ({
      peer_id: owner,
      owner,
      roles: index === 0 ? ['gateway'] : ['mix'],
      domains: index === 0 ? ['alpha.example'] : [],
      weight: 1,
    })),
    traffic: {
      delay_mean_ms: 1,
      ticks_per_second: 1,
      loops_per_second: 0.5,
      mixes_per_route: 1,
      expiry_ms: 60_000,
    },
    snapshot_lifetime_ms: lifetimeMs,
    key_lifetime_ms: 3 * lifetimeMs,
  };
}

/** A running node's part in the agreements. */
export interface RunningNode {
  readonly node: FoundedNode;
  readonly store: DirectoryStore;
  readonly report: DirectoryReport;
  readonly epochs: Epochs;
  /** What it says of itself; tests change it. */
  position: OwnPosition;
  /** What it has logged, by event. */
  readonly said: { readonly event?: string; readonly reason?: string }[];
}

/** Starts a node's part; it stops with the test. */
export function runNode(
  t: ExecutionContext,
  { mixnetId, bed }: Founded,
  node: FoundedNode,
  more: Partial<EpochOptions> & { readonly sources?: readonly NodesSource[] } = {},
): RunningNode {
  const said: RunningNode['said'] = [];
  const note = (fields: object): void => void said.push(fields);
  const log: Log = { debug: () => undefined, info: note, warn: note, error: note };
  const { sources = [node.client], ...options } = more;
  const report = new DirectoryReport(node.dataDir);
  const store = new DirectoryStore({
    dataDir: node.dataDir,
    mixnetId,
    primitives: native,
    log: silentLog,
    sources: () => sources,
    report,
    now: bed.now,
  });
  const running: { position: OwnPosition } = { position: positionOf(bed) };
  const epochs = new Epochs({
    client: node.client,
    identity: node.identity,
    primitives: native,
    state: node.state,
    store,
    report,
    log,
    now: bed.now,
    pollMs: 20,
    watchMs: 60,
    patienceMs: 2_500,
    textMs: 4_000,
    position: () => running.position,
    ...options,
  });
  epochs.start().catch(() => undefined);
  t.teardown(() => epochs.stop());
  return Object.assign(running, { node, store, report, epochs, said });
}

/** A position with one fresh key. */
export function positionOf(bed: PrivateController, more: Partial<OwnPosition> = {}): OwnPosition {
  const { publicKey } = createMixKey(native, native.group('X25519'));
  const nowMs = bed.now();
  return {
    controllerUrl: bed.url,
    paused: false,
    endpoints: [
      {
        endpointId: `mix_${Buffer.from(publicKey).toString('hex').slice(0, 16)}`,
        publicKey,
        opensMs: nowMs,
        closesMs: nowMs + 30 * 86_400_000,
      },
    ],
    ...more,
  };
}

/** Waits until something holds. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs = 20_000,
): Promise<void> {
  for (const endMs = Date.now() + patienceMs; !(await holds());) {
    if (Date.now() > endMs) throw new Error(`${what}: not within ${patienceMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Waits until all hold a snapshot of at least this number, and the same. */
export async function allHold(
  running: readonly RunningNode[],
  number: number,
  patienceMs?: number,
): Promise<void> {
  const held = (): string => running.map(({ store }) => store.last()?.number ?? 0).join();
  await until(
    `all hold number ${number}`,
    () => {
      const hashes = new Set(running.map(({ store }) => store.last()?.snapshotHash));
      return hashes.size === 1 && (running[0]?.store.last()?.number ?? 0) >= number;
    },
    patienceMs,
  ).catch((error: unknown) => {
    const said = running.map((one) => JSON.stringify(one.said.slice(-6))).join('\n');
    throw new Error(`${String(error)}; they hold ${held()}\n${said}`);
  });
}
