import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { temporaryDataDir, until } from '../redis/private-redis.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9/';

/** Configuration of a mix whose own controller does not answer. */
async function lonelyMix(t: ExecutionContext): Promise<string> {
  const dataDir = await temporaryDataDir(t);
  const file = join(dataDir, 'panoramix.yaml');
  const node = { controller_url: NOWHERE };
  writeFileSync(file, stringify({ name: 'lonely', data_dir: dataDir, node }));
  new MixnetStateFile(join(dataDir, 'mixnet.json')).write({
    version: 1,
    catalog_url: NOWHERE,
    peer_id: 'a'.repeat(64),
    founding_negotiation_id: 'b'.repeat(64),
    mixnet_id: 'c'.repeat(64),
    signed: {},
  });
  return file;
}

/** Starts it; gives what it says, and how it ends. */
function startMix(
  t: ExecutionContext,
  config: string,
  { verb = 'mix', env = {} }: { readonly verb?: string; readonly env?: NodeJS.ProcessEnv } = {},
) {
  const args = [MAIN, verb, '--config', config];
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
  t.teardown(() => child.kill('SIGKILL'));
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => said.push(data.toString()));
  }
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  return { child, ended, text: () => said.join('') };
}

test('SIGTERM was not heard while a node waited for its controller', async (t) => {
  const mix = startMix(t, await lonelyMix(t));
  await until(() => mix.text().includes('waiting for it'));
  mix.child.kill('SIGTERM');
  t.deepEqual(await mix.ended, [0, null]);
});

test('two nodes ran on one data directory', async (t) => {
  const config = await lonelyMix(t);
  const first = startMix(t, config);
  await until(() => first.text().includes('waiting for it'));
  const second = startMix(t, config);
  t.deepEqual(await second.ended, [2, null]);
  t.regex(second.text(), /another node runs on/);
  t.is(first.child.exitCode, null);
  first.child.kill('SIGKILL');
  await first.ended;
  const third = startMix(t, config);
  await until(() => third.text().includes('waiting for it'));
  t.pass();
});

test('a data directory that others may write to is refused', async (t) => {
  const config = await lonelyMix(t);
  chmodSync(dirname(config), 0o770);
  const mix = startMix(t, config);
  t.deepEqual(await mix.ended, [2, null]);
  t.regex(mix.text(), /may be written by others/);
});

test('a password of Redis stands in no line, whatever is wrong with it or with its URL', async (t) => {
  const config = await lonelyMix(t);
  for (const url of [
    'redis://me:pass-word@127.0.0.1:9/',
    'reddis://me:pass-word@127.0.0.1:9/',
    '127.0.0.1:9/me:pass-word',
  ]) {
    for (const verb of ['mix', 'status']) {
      const env = { REDIS_URL: url, PANORAMIX_LOG: 'debug' };
      const mix = startMix(t, config, { verb, env });
      const [code] = await mix.ended;
      t.true(code !== 0, `${verb} ${url}`);
      t.not(mix.text(), '');
      t.notRegex(mix.text(), /pass-word/, `${verb} ${url}`);
    }
  }
});
