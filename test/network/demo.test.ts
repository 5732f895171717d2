/** The demo as a stranger starts it, with all odd mails of ours and, where they are, the real ones. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';

const root = resolve(import.meta.dirname, '../..');
const folders = [join(root, 'test/fixtures/mail'), join(root, '../shared/mail')].filter(existsSync);
const files = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.eml'))
    .map((name) => join(folder, name)),
);

test.serial('demo --once delivers every odd mail byte-exact and exits 0', async (t) => {
  t.true(files.length >= 75);
  const { code, output } = await demo(['--once', '--mail', ...files]);
  t.is(
    lastLine(output),
    `delivered ${files.length} of ${files.length}, byte-exact ${files.length}`,
  );
  t.is(code, 0, output);
});

test.serial('demo --once with a file that is not there says so and exits 1', async (t) => {
  const { code, output } = await demo(['--once', '--mail', 'no-such-mail.eml']);
  t.is(code, 1);
  t.regex(output, /no-such-mail\.eml/);
});

function demo(args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolved) => {
    execFile(
      process.execPath,
      [join(root, 'src/cli/main.ts'), 'demo', ...args],
      { timeout: 300_000, maxBuffer: 16_777_216 },
      (error, stdout, stderr) =>
        resolved({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr }),
    );
  });
}

function lastLine(output: string): string {
  return output.trimEnd().split('\n').at(-1) ?? '';
}
