/**
 * Controllers that lie about the directory, in front of a mixnet of real processes: opted-in mail waits with 451,
 * nothing leaves, log and status say of each controller what it does; and the same mail crosses once they are
 * honest again.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { fromUtf8 } from '../../src/bytes.ts';
import { readStatus, type DirectoryStatus } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { agreeOnPaper, resealed } from '../mixnet/signed-directory.ts';
import { startBehindDoors, type Door, type DooredMixnet } from './hostile-inbox.ts';
import { until } from './real-mixnet.ts';

const LIFETIME_MS = 18_000;
const PATIENCE_MS = 90_000;

interface Nodes {
  readonly log: readonly ConsensusRecord[];
  readonly snapshot: ConsensusRecord;
}
interface Parts {
  readonly data: { readonly snapshot: { readonly number: number; readonly valid_from: string } };
  readonly info: object;
}

let mixnet: DooredMixnet;

test.before(async () => {
  mixnet = await startBehindDoors({ snapshotLifetimeMs: LIFETIME_MS });
});

test.after.always(async () => {
  await mixnet?.stop();
});

test.afterEach.always(() => {
  for (const each of mixnet?.doors.values() ?? []) each.serveNodes = (text) => text;
});

test.serial(
  'forged, truncated, rolled back, robbed of a domain, withheld: each is named, and mail waits',
  async (t) => {
    const urlOf = new Map(mixnet.real.mixnet.peers.map((peer) => [peer.name, peer.controllerUrl]));
    const old = await served('mix-3');
    await until(
      'alpha has seen all controllers serve a later one',
      async () => {
        const { controllers } = await directoryOf('alpha');
        return [...urlOf.values()].every((url) => (controllers[url]?.number ?? 0) > numberOf(old));
      },
      PATIENCE_MS,
    );
    door('mix-1').serveNodes = (text) =>
      changed(text, (body) => body.replace('"paused":false', '"paused":true'));
    door('mix-2').serveNodes = (text) => text.slice(0, text.length / 2);
    door('mix-3').serveNodes = () => old;
    door('beta').serveNodes = (text) => text.replaceAll('\\"beta.example\\"', '');
    door('alpha').serveNodes = () => null;
    await waits(t, 'HOSTILE1', 'directory-expired', /Directory has expired/);

    const wanted: readonly (readonly [string, string])[] = [
      ['mix-1', 'signature-invalid'],
      ['mix-2', 'answer-malformed'],
      ['mix-3', 'snapshot-rolled-back'],
      ['beta', 'domain-lost'],
      ['alpha', 'directory-withheld'],
    ];
    for (const [name, reason] of wanted) {
      const url = urlOf.get(name) ?? '';
      await until(
        `status names ${name}: ${reason}`,
        async () => (await directoryOf('alpha')).controllers[url]?.state === reason,
        PATIENCE_MS,
      );
      t.truthy((await directoryOf('alpha')).controllers[url]?.since);
    }
    const logged = readFileSync(mixnet.real.mixnet.logOf('alpha'), 'utf8');
    for (const [, reason] of wanted)
      t.regex(logged, new RegExp(`directory-refused","reason":"${reason}"`));
    const { output, code } = await panoramix('status', '--config', configOf('alpha'));
    t.is(code, 1);
    for (const [name, reason] of wanted) {
      t.true(new RegExp(`${urlOf.get(name)} for .*: ${reason}`).test(output), `${name}\n${output}`);
    }
    for (const each of mixnet.doors.values()) each.serveNodes = (text) => text;
    await arrives(t, 'HOSTILE1');
  },
);

test.serial(
  'every controller serves one that has expired: mail waits until they serve another',
  async (t) => {
    for (const each of mixnet.doors.values()) {
      let frozen: string | null = null;
      each.serveNodes = (text) => (frozen ??= text);
    }
    await waits(t, 'HOSTILE2', 'directory-expired', /Directory has expired/);
    await until(
      'status says so of a controller',
      async () => {
        const { controllers } = await directoryOf('alpha');
        return Object.values(controllers).some(({ state }) => state === 'directory-expired');
      },
      PATIENCE_MS,
    );
    for (const each of mixnet.doors.values()) each.serveNodes = (text) => text;
    await arrives(t, 'HOSTILE2');
  },
);

test.serial(
  'owners sign two of one number: mail waits at once, they are named, the operator forgives',
  async (t) => {
    const { peers } = mixnet.real.mixnet;
    const signers = peers
      .slice(0, 3)
      .map(({ nodeDataDir }) => readOrCreateIdentity(nodeDataDir, native));
    door('alpha').serveNodes = (text) => twinOf(text, signers);
    await waits(t, 'HOSTILE3', 'snapshot-equivocated', /Two directories are signed/);
    door('alpha').serveNodes = (text) => text;
    const { equivocations } = await directoryOf('alpha');
    const found = equivocations[0];
    t.true(found?.waits);
    const both = signers.map(({ peerId }) => peerId);
    t.true((found?.signed_both.length ?? 0) > 0);
    t.true(found?.signed_both.every((peer) => both.includes(peer)));
    const log = readFileSync(mixnet.real.mixnet.logOf('alpha'), 'utf8');
    t.regex(log, /"event":"snapshot-equivocated".*"signedBoth":\["[0-9a-f]{64}"/);
    // Later snapshots alone end nothing.
    const { number } = await directoryOf('alpha');
    await until(
      'a later one is held',
      async () => ((await directoryOf('alpha')).number ?? 0) > (number ?? 0),
      PATIENCE_MS,
    );
    t.is((await directoryOf('alpha')).state, 'snapshot-equivocated');
    // Every node that has asked that controller has seen both, and each operator decides for himself.
    await until(
      'all operators have forgiven',
      async () => {
        const open = await Promise.all(
          peers.map(async ({ nodeConfig }) => await forgiveIn(nodeConfig)),
        );
        return open.every((waiting) => waiting === 0);
      },
      PATIENCE_MS,
    );
    await arrives(t, 'HOSTILE3');
  },
);

/** Forgives what a node waits for. @returns how much that was */
async function forgiveIn(config: string): Promise<number> {
  const { directory } = await readStatus(readConfig(config));
  const waiting = (directory?.equivocations ?? []).filter((one) => one.waits);
  for (const { number } of waiting) {
    const { code, output } = await panoramix(
      'wizard',
      'forgive',
      String(number),
      '--config',
      config,
    );
    if (code !== 0) throw new Error(output);
  }
  return waiting.length;
}

/** Sends until it is deferred for the reason that is expected, and sees that nothing has left. */
async function waits(
  t: { readonly deepEqual: (actual: unknown, expected: unknown) => unknown },
  queueId: string,
  reason: string,
  reply: RegExp,
): Promise<void> {
  await until(
    `alpha's directory is ${reason}`,
    async () => (await directoryOf('alpha')).state === reason,
    PATIENCE_MS,
  );
  await until(
    'the mail waits',
    async () => {
      const [result] = await mixnet.real.send('alpha', mailOf(queueId));
      return result?.outcome === 'deferred' && reply.test(result.reply.text);
    },
    PATIENCE_MS,
  );
  t.deepEqual([...mixnet.real.arrived(), ...mixnet.real.passed()], []);
  const line = new RegExp(`"reason":"${reason}".*Opted-in mail waits`);
  await until(
    'the log says why',
    () => line.test(readFileSync(mixnet.real.mixnet.logOf('alpha'), 'utf8')),
    PATIENCE_MS,
  );
}

async function arrives(
  t: { readonly deepEqual: (actual: unknown, expected: unknown) => unknown },
  queueId: string,
): Promise<void> {
  await mixnet.real.submit('alpha', mailOf(queueId), PATIENCE_MS);
  await until('the mail arrives', () => mixnet.real.arrived().length > 0, PATIENCE_MS);
  t.deepEqual(mixnet.real.passed(), []);
}

function mailOf(queueId: string): Parameters<DooredMixnet['real']['send']>[1] {
  const data = fromUtf8(`X-PANORAMIX-Mixable: yes\r\nSubject: ${queueId}\r\n\r\nhello\r\n`);
  return { from: 'ada@alpha.example', to: ['bob@beta.example'], data, queueId };
}

function door(name: string): Door {
  return mixnet.doors.get(name) as Door;
}

function configOf(name: string): string {
  return mixnet.real.mixnet.gateway(name).nodeConfig;
}

async function directoryOf(name: string): Promise<DirectoryStatus> {
  return (await readStatus(readConfig(configOf(name)))).directory as DirectoryStatus;
}

/** What a controller serves through its door. */
async function served(name: string): Promise<string> {
  const { nodeDataDir, controllerUrl } =
    mixnet.real.mixnet.peers.find((peer) => peer.name === name) ?? {};
  const state = JSON.parse(readFileSync(`${nodeDataDir}/mixnet.json`, 'utf8')) as {
    mixnet_id: string;
  };
  let text = '';
  await until(
    `the controller of ${name} serves the directory`,
    async () => {
      const answer = await fetch(`${controllerUrl}panoramix/peers/${state.mixnet_id}/nodes.json`);
      text = await answer.text();
      return answer.status === 200;
    },
    PATIENCE_MS,
  );
  return text;
}

function partsOf(text: string): Parts {
  return JSON.parse((JSON.parse(text) as Nodes).snapshot.text) as Parts;
}

function numberOf(text: string): number {
  return partsOf(text).data.snapshot.number;
}

/** The snapshot's text changed after it was signed. */
function changed(text: string, change: (body: string) => string): string {
  const nodes = JSON.parse(text) as Nodes;
  const snapshot = { ...nodes.snapshot, text: change(nodes.snapshot.text) };
  return JSON.stringify({ ...nodes, snapshot: resealed(snapshot) });
}

/** Another snapshot of the same number, a millisecond younger, with true signatures. */
function twinOf(text: string, signers: Parameters<typeof agreeOnPaper>[1]): string {
  const nodes = JSON.parse(text) as Nodes;
  const { data, info } = partsOf(text);
  const fromMs = Date.parse(data.snapshot.valid_from) + 1;
  const snapshot = { ...data.snapshot, valid_from: new Date(fromMs).toISOString() };
  const record = agreeOnPaper({ data: { ...data, snapshot }, info }, signers);
  return JSON.stringify({ ...nodes, snapshot: record });
}

function panoramix(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const env = { ...process.env, FORCE_COLOR: undefined };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, output: stdout || stderr }),
    );
  });
}
