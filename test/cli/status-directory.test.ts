import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { hashText } from '../../src/api/signed.ts';
import {
  isDirectoryWell,
  readDirectoryStatus,
  type DirectoryStatus,
} from '../../src/cli/status-directory.ts';
import { readConfig, type Config } from '../../src/config.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { DirectoryReport } from '../../src/mixer/directory-report.ts';
import { DirectoryStore } from '../../src/mixer/directory-store.ts';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { OperatorFile } from '../../src/mixer/operator-file.ts';
import { createOwners, LIFETIME_MS, NOW_MS, paperMixnet } from '../mixnet/signed-directory.ts';

// Gateways are the first two; each of five mixes.
const owners = createOwners(5);
const first = paperMixnet(
  { entry: (entry) => ({ ...entry, paused: entry.peer_id === owners[4]?.peerId }) },
  owners,
);
const me = owners[0]?.peerId ?? '';

/** A node that holds the directory, with its files; what a running one would have left. */
function nodeOf(t: ExecutionContext, nodes: object = first.nodes) {
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const file = join(dataDir, 'node.yaml');
  const yaml = {
    name: 'alpha',
    data_dir: dataDir,
    node: { controller_url: 'http://127.0.0.1:1/' },
  };
  writeFileSync(file, stringify(yaml), { mode: 0o600 });
  const statePath = join(dataDir, 'mixnet.json');
  new MixnetStateFile(statePath).write({
    version: 1,
    catalog_url: 'http://127.0.0.1:1/',
    peer_id: me,
    founding_negotiation_id: '',
    mixnet_id: first.mixnetId,
    signed: {},
    pending_changes: [
      {
        negotiation_id: 'C'.repeat(43),
        proposer: owners[1]?.peerId ?? '',
        log_head: 'a'.repeat(64),
      },
    ],
  });
  const store = new DirectoryStore({
    dataDir,
    mixnetId: first.mixnetId,
    primitives: native,
    log: silentLog,
    sources: () => [],
    now: () => NOW_MS,
  });
  t.true(store.offer(nodes).ok);
  const config: Config = readConfig(file);
  const status = (nowMs = NOW_MS): DirectoryStatus =>
    readDirectoryStatus(config, nowMs) as DirectoryStatus;
  return { dataDir, file, statePath, store, status };
}

test('status says how long the directory holds, when the next is due, who is paused, what others propose', (t) => {
  const { status } = nodeOf(t);
  t.like(status(), {
    state: 'valid',
    number: 1,
    nodes: 5,
    valid_until: NOW_MS + LIFETIME_MS,
    next_due: NOW_MS + LIFETIME_MS / 3,
    paused: false,
    missing_nodes: [],
    trouble: null,
  });
  t.deepEqual(status().paused_nodes, [owners[4]?.peerId ?? '']);
  t.deepEqual(status().pending_changes, [
    { negotiation: 'C'.repeat(43), proposer: owners[1]?.peerId ?? '' },
  ]);
  t.is(status(NOW_MS + LIFETIME_MS).state, 'directory-expired');
  // Three of five owners are neither end of a route; one of them is paused.
  t.is(status().owners_missing, 1);
  t.false(isDirectoryWell(status()));
});

test('a mixnet in which nothing is wrong is well', (t) => {
  const fine = paperMixnet({}, owners);
  const nodes = {
    ...first.nodes,
    snapshot: paperMixnet({ snapshot: (text) => ({ ...text, log_head: logHeadOf() }) }, owners)
      .nodes.snapshot,
  };
  t.is(fine.mixnetId, first.mixnetId);
  const { status } = nodeOf(t, nodes);
  t.is(status().owners_missing, 0);
  t.true(isDirectoryWell(status()));
});

function logHeadOf(): string {
  return hashText(native, first.nodes.log[0]?.text ?? '');
}

test('nodes that signed no entry are named', (t) => {
  const snapshot = paperMixnet(
    {
      signed: (entry, index) => (index === 3 ? null : entry),
      snapshot: (text) => ({ ...text, log_head: logHeadOf() }),
    },
    owners,
  ).nodes.snapshot;
  const { status } = nodeOf(t, { ...first.nodes, snapshot });
  t.deepEqual(status().missing_nodes, [owners[3]?.peerId ?? '']);
});

test('a controller that lies, and nodes that do not agree, are not well', (t) => {
  const { dataDir, status } = nodeOf(t);
  const report = new DirectoryReport(dataDir);
  const url = 'https://mix.example/';
  report.noteController(url, { state: 'signature-invalid', since_ms: NOW_MS - 1, number: null });
  t.deepEqual(status().controllers, {
    [url]: { state: 'signature-invalid', since: NOW_MS - 1, number: null },
  });
  t.false(isDirectoryWell({ ...status(), owners_missing: 0 }));
  report.noteController(url, { state: 'directory-behind', since_ms: NOW_MS, number: 1 });
  t.true(isDirectoryWell({ ...status(), owners_missing: 0 }));
  report.noteTrouble('answer-malformed', NOW_MS);
  t.false(isDirectoryWell({ ...status(), owners_missing: 0 }));
  report.noteTwoFaced(owners[2]?.peerId ?? '', 7, NOW_MS);
  t.deepEqual(status().two_faced, [{ node: owners[2]?.peerId ?? '', number: 7 }]);
});

test('two directories of one number are shown with who signed both, until the operator forgives', async (t) => {
  const { store, status, file, statePath } = nodeOf(t);
  const twin = paperMixnet(
    {
      snapshot: (text) => ({ ...text, log_head: logHeadOf() }),
      snapshotSigners: (all) => all.slice(2),
    },
    owners,
  ).nodes.snapshot;
  t.like(store.offer({ ...first.nodes, snapshot: twin }), { ok: false });
  const both = owners.slice(2).map(({ peerId }) => peerId);
  t.deepEqual(status().equivocations, [{ number: 1, signed_both: both, waits: true }]);
  t.is(status().state, 'snapshot-equivocated');
  const wrong = await panoramix('wizard', 'forgive', '2', '--config', file);
  t.is(wrong.code, 2);
  t.is(status().state, 'snapshot-equivocated');
  const right = await panoramix('wizard', 'forgive', '1', '--config', file);
  t.is(right.code, 0, right.output);
  for (const peer of both) t.true(right.output.includes(peer));
  t.deepEqual(new OperatorFile(statePath).read().forgiven, [1]);
  t.is(status().state, 'valid');
  t.like(status().equivocations, [{ number: 1, waits: false }]);
});

function panoramix(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
    );
  });
}

test('status names a node to whose URL nobody posts', (t) => {
  const third = owners[2]?.peerId ?? '';
  const made = paperMixnet(
    {
      entry: (entry) => ({
        ...entry,
        controller_url: `${entry.peer_id === third ? 'http' : 'https'}://a.example/`,
      }),
    },
    owners,
  );
  const { status } = nodeOf(t, made.nodes);
  t.deepEqual(status().left_out, [{ node: third, reason: 'url-insecure' }]);
  t.is(status().state, 'valid');
});
