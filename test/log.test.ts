/** Logs of programs whose output nobody can write, by programs of their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import test from 'ava';

/** Says so many lines, then on stderr how much its memory has grown, in MB. */
const TALKER = `
  import { createLog } from '${new URL('../src/log.ts', import.meta.url).href}';
  const log = createLog('talker', 'info');
  const before = process.memoryUsage().rss;
  for (let i = 0; i < Number(process.argv[1]); i++) {
    log.warn({ event: 'said', filling: 'x'.repeat(1000) }, 'a line');
    if (i % 100 === 0) await new Promise(setImmediate);
  }
  console.error(Math.round((process.memoryUsage().rss - before) / 1e6));
`;

/** Runs it with its output to somewhere. */
async function talk(stdout: number, lines: number): Promise<{ code: number; grownMb: number }> {
  const args = ['--input-type=module', '-e', TALKER, String(lines)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'] });
  let said = '';
  child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, grownMb: Number(said) };
}

test('a full disk under the log ended the program', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  t.deepEqual((await talk(full, 3)).code, 0);
});

test('lines that cannot be written do not fill the memory', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  const { code, grownMb } = await talk(full, 100_000);
  t.is(code, 0);
  t.true(grownMb < 60, `${grownMb} MB for 100 MB of lines`);
});

test('a log that somebody has stopped to read does not end the program', async (t) => {
  const child = spawn(
    'bash',
    [
      '-c',
      `"$0" --input-type=module -e "$1" 1000 | true; exit \${PIPESTATUS[0]}`,
      process.execPath,
      TALKER,
    ],
    { stdio: ['ignore', 'ignore', 'ignore'] },
  );
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 0);
});
