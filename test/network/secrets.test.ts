/**
 * Where the secrets of a mixnet of real processes are, and where they are not: in files that their program alone
 * may read, and that it refuses otherwise; in no log at level debug, no argument, no environment, no Redis. And
 * nobody but this machine reaches any of its sockets.
 */
import { chmodSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fromHex } from '../../src/bytes.ts';
import { readConfig } from '../../src/config.ts';
import { readStatus } from '../../src/cli/status.ts';
import { findBytes, type Needle, type Source } from '../redis/search-bytes.ts';
import { fileSources, textSource } from '../redis/search-store.ts';
import { isOnLoopback, listenersOf, shownOf } from './processes.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

/** A secret of 28 bytes (P-224) or 32, however its file spells what is around it. */
const SECRET = /\b(?:[0-9a-f]{64}|[0-9a-f]{56})\b/g;
const PATIENCE_MS = 60_000;

let real: RealMixnet;
/** Of every node and controller, and the redis-server of each. */
let pids: number[] = [];
let secrets: Needle[] = [];

test.before(async () => {
  real = await startRealMixnet({ mixes: 1, logLevel: 'debug' });
  const names = real.mixnet.programs.map(({ name }) => name);
  const servers = await Promise.all(names.map((name) => real.redisPid(name)));
  pids = [...real.mixnet.programs.map(({ pid }) => pid ?? 0), ...servers];
  secrets = real.mixnet.peers.flatMap(({ name, nodeDataDir }) =>
    secretFiles(nodeDataDir).flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(SECRET)].map(([hex], i) => {
        return { name: `${name} ${basename(path)} ${i}`, bytes: fromHex(hex) as Uint8Array };
      }),
    ),
  );
  const data = Buffer.from('X-PANORAMIX-Mixable: yes\r\nSubject: x\r\n\r\nbody\r\n');
  const mail = { from: 'ada@alpha.example', queueId: 'Q1', data };
  await real.submit('alpha', { ...mail, to: ['bob@beta.example'] });
  let arrived = 0;
  await until('a mail crosses', () => (arrived += real.arrived().length) > 0, PATIENCE_MS);
});

test.after.always(async () => {
  await real?.stop();
});

test.serial('every socket is on loopback, and a signal opens none', async (t) => {
  const listeners = listenersOf(pids);
  t.deepEqual(
    listeners.filter((each) => !isOnLoopback(each)),
    [],
  );
  // A controller each, and three doors of each gateway; Redis listens on none.
  t.is(listeners.length, 3 + 2 * 3);
  for (const { pid } of real.mixnet.programs) process.kill(pid ?? 0, 'SIGUSR1');
  await until(
    'all have heard it',
    () => real.mixnet.programs.every(({ name }) => /SIGUSR1/.test(logOf(name))),
    PATIENCE_MS,
  );
  await sleep(500);
  t.deepEqual(listenersOf(pids), listeners);
});

test.serial('no secret is in a log, an argument, an environment or Redis', async (t) => {
  // Two nodes with files of their own, and the keys of a mix position each; a gateway's has more.
  t.true(secrets.length >= 2 + 2 + 2 * 6, secrets.map(({ name }) => name).join());
  const { peers, programs } = real.mixnet;
  const stores = peers.flatMap(({ nodeDataDir, controllerDataDir }) => [
    nodeDataDir,
    controllerDataDir,
  ]);
  const sources: Source[] = [
    ...programs.map(({ name }) => textSource(`log of ${name}`, logOf(name))),
    ...pids.map((pid) => ({ name: `process ${pid}`, bytes: shownOf(pid) })),
    ...(await Promise.all(stores.map(async (dir) => await fileSources(join(dir, 'redis'))))).flat(),
  ];
  t.deepEqual(findBytes(secrets, sources), []);
  const [one] = secrets as [Needle];
  const planted = textSource('planted', `x${Buffer.from(one.bytes).toString('base64url')}x`);
  t.is(findBytes(secrets, [planted]).length, 1);
});

test.serial('all that programs write is for their user alone', (t) => {
  for (const { nodeDataDir, controllerDataDir } of real.mixnet.peers) {
    for (const path of [...walk(nodeDataDir), ...walk(controllerDataDir)]) {
      const found = lstatSync(path);
      t.is(found.mode & 0o777, found.isDirectory() ? 0o700 : 0o600, path);
    }
  }
});

test.serial('of every process the kernel writes no core file', (t) => {
  for (const pid of pids) {
    t.regex(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +[01] +[01] /m);
  }
});

test.serial('a gateway refuses each of its secrets where others may read it', async (t) => {
  const program = real.mixnet.nodes.find(({ name }) => name === 'alpha');
  const { nodeDataDir, nodeConfig } = real.mixnet.gateway('alpha');
  await program?.stop();
  const names = ['identity.key', 'mail-id.key', 'mixnet.json', 'return.key', 'storage.key'];
  const files = [...secretFiles(nodeDataDir), join(nodeDataDir, 'mixnet.json')];
  t.true(names.every((name) => files.includes(join(nodeDataDir, name))));
  t.true(files.length > names.length, 'and the keys of its mix position');
  for (const path of files) {
    chmodSync(path, 0o640);
    const before = logOf('alpha').length;
    program?.start();
    await until(`it ends for ${path}`, () => program?.running === false, PATIENCE_MS);
    t.is(program?.exitCode, 2, path);
    const said = logOf('alpha').slice(before);
    t.true(said.includes(`${path} may be read by others`), said);
    chmodSync(path, 0o600);
  }
  program?.start();
  await until(
    'it runs again',
    async () => (await readStatus(readConfig(nodeConfig))).program === 'running',
    PATIENCE_MS,
  );
  t.is((await readStatus(readConfig(nodeConfig))).mail?.reports_waiting, 0);
});

/** The files that hold secrets and nothing else. */
function secretFiles(nodeDataDir: string): string[] {
  return walk(nodeDataDir).filter((path) => /\.key$|\.secret\.json$/.test(path));
}

/** A folder and all in it; what goes away meanwhile is not of it. */
function walk(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))];
}

function logOf(program: string): string {
  return readFileSync(real.mixnet.logOf(program), 'utf8');
}
