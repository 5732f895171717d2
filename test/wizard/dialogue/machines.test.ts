/** The wizards without a terminal: all answers by flags and files, and what is said where one is missing. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { freePorts } from '../../../src/cli/demo/processes.ts';
import { readConfig } from '../../../src/config.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');
const store = sharedStore(test);

test.serial(
  'an owner alone founds by flags and an answers file, and again by what that wrote',
  async (t) => {
    const { url } = await privateController(t, store());
    const folder = folderFor(t);
    const config = join(folder, 'panoramix.yaml');
    const answers = join(folder, 'answers.yaml');
    const key = join(folder, 'brought.key');
    writeFileSync(key, `${'7c'.repeat(32)}\n`, { mode: 0o600 });
    writeFileSync(answers, 'name: our_mix-net\nPEER_NAME: peer1\nroles: [mix]\naction: set\n');
    const first = await run('wizard', ['--yes', '--config', config, '--answers', answers], {
      flags: { 'catalog-url': url, role: 'create', invitations: '0', 'key-file': key },
    });
    t.is(first.code, 0, first.said);
    const [, mixnetUrl] = /The mix-net URL for users: (\S+)/.exec(first.said) ?? [];
    t.regex(mixnetUrl ?? '', /\/panoramix\/peers\/[0-9a-f]{64}\/$/);
    t.false(first.said.includes('7c7c7c'));
    t.is(readFileSync(join(folder, 'node/identity.key'), 'utf8'), `${'7c'.repeat(32)}\n`);
    t.is(statSync(config).mode & 0o777, 0o600);
    t.is(readConfig(config).mixnet?.body_len, 32_768);
    const again = await run('wizard', ['--yes', '--config', config]);
    t.is(again.code, 0, again.said);
    t.true(again.said.includes(mixnetUrl ?? 'none'));
  },
);

test.serial(
  'without a terminal a missing answer ends the wizard with flag, name and key',
  async (t) => {
    const { url } = await privateController(t, store());
    const config = join(folderFor(t), 'panoramix.yaml');
    for (const verb of ['wizard', 'server-wizard']) {
      const nowhere = await run(verb, verb === 'wizard' ? [] : ['--yes']);
      t.is(nowhere.code, 2);
      t.regex(nowhere.said, /no configuration file: set PANORAMIX_CONFIG or give --config FILE/);
    }
    const nothing = await run('wizard', ['--config', config]);
    t.is(nothing.code, 2);
    t.regex(
      nothing.said,
      /CATALOG_URL has no answer: give --catalog-url, or CATALOG_URL in the file/,
    );
    t.regex(nothing.said, /mixnet\.catalog_url in \S+panoramix\.yaml/);
    t.false(existsSync(config));
    const some = await run('wizard', ['--config', config], { flags: { 'catalog-url': url } });
    t.regex(some.said, /role has no answer: give --role/);
    // What was said before stands already.
    t.true(readFileSync(config, 'utf8').includes(url));
  },
);

test.serial(
  'a key file that others may read, or that holds none, is refused without repeating it',
  async (t) => {
    const { url } = await privateController(t, store());
    const folder = folderFor(t);
    const key = join(folder, 'key');
    const flags = {
      'catalog-url': url,
      role: 'create',
      action: 'set',
      'key-file': key,
      'peer-name': 'p',
      name: 'm',
      invitations: '0',
      roles: 'mix',
    };
    const config = join(folder, 'panoramix.yaml');
    writeFileSync(key, 'ab'.repeat(32), { mode: 0o644 });
    const open = await run('wizard', ['--yes', '--config', config], { flags });
    t.regex(open.said, /may be read by others/);
    rmSync(key);
    writeFileSync(key, 'ab'.repeat(31), { mode: 0o600 });
    const short = await run('wizard', ['--yes', '--config', config], { flags });
    t.regex(short.said, /does not hold 64 hex digits/);
    t.false(short.said.includes('abab'));
    t.false(existsSync(join(folder, 'node/identity.key')));
  },
);

test.serial(
  'packets that cannot carry the path are refused with the sum, before anything is sent',
  async (t) => {
    const { url } = await privateController(t, store());
    const config = join(folderFor(t), 'panoramix.yaml');
    const refused = await run('wizard', ['--yes', '--config', config], {
      flags: {
        'catalog-url': url,
        role: 'create',
        'header-len': '128',
        'peer-name': 'p',
        name: 'm',
        invitations: '0',
        roles: 'mix',
      },
    });
    t.is(refused.code, 2);
    t.regex(refused.said, /HEADER_LEN 128.*\d/);
  },
);

test.serial(
  'the server wizard writes a file that the controller takes, and refuses a taken port',
  async (t) => {
    const bed = await privateController(t, store());
    const [port = 0] = await freePorts(1);
    const config = join(folderFor(t), 'panserver.yaml');
    const url = `http://127.0.0.1:${port}/`;
    const written = await run('server-wizard', ['--yes', '--config', config], {
      flags: { 'catalog-url': url, purpose: 'batch' },
    });
    t.is(written.code, 0, written.said);
    t.true(written.said.includes(`PANORAMIX_CONFIG=${config} panoramix controller`));
    const { controller } = readConfig(config);
    t.deepEqual(controller?.listen, { host: '127.0.0.1', port });
    t.deepEqual(controller?.proposal, {
      purpose: 'batch',
      backend: 'SPHINXMIX',
      body_len: 1024,
      group: 'P-224',
      header_len: 192,
    });
    const taken = join(folderFor(t), 'panserver.yaml');
    const busy = await run('server-wizard', ['--yes', '--config', taken], {
      flags: { 'catalog-url': bed.url },
    });
    t.is(busy.code, 2);
    t.regex(busy.said, /cannot be listened on: .*EADDRINUSE/);
  },
);

async function run(
  verb: string,
  args: readonly string[],
  { flags = {} }: { readonly flags?: Readonly<Record<string, string>> } = {},
): Promise<{ readonly code: number; readonly said: string }> {
  const more = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const env = { ...process.env, PANORAMIX_CONFIG: undefined, PANORAMIX_INVITATION: undefined };
  return await new Promise((done) => {
    execFile(process.execPath, [MAIN, verb, ...args, ...more], { env }, (error, out, err) =>
      done({ code: error ? Number(error.code) : 0, said: out + err }),
    );
  });
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
