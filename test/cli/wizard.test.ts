import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const CONFIG = `
name: guest
data_dir: data
node: { controller_url: "http://127.0.0.1:1/" }
mixnet: { action: join, catalog_url: "http://127.0.0.1:1/", roles: [mix] }
`;

test('an invitation may come by the environment, which other users of the host cannot read', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'guest.yml');
  writeFileSync(config, CONFIG);
  const said = async (more: NodeJS.ProcessEnv): Promise<string> =>
    await new Promise((done) => {
      const env = { ...process.env, ...more };
      const args = [MAIN, 'wizard', '--yes', '--config', config];
      execFile(process.execPath, args, { env }, (_error, _out, stderr) => done(stderr));
    });
  t.regex(await said({}), /to join, give PANORAMIX_INVITATION/);
  const text = await said({ PANORAMIX_INVITATION: 'secret-but-no-invitation' });
  t.regex(text, /invitation-invalid/);
  t.notRegex(text, /secret-but/);
});
