/** The last line and the status of .ci/run, over what `npm test` may say. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

const script = join(import.meta.dirname, '../../.ci/run');

/** Runs .ci/run where `npm test` prints this and ends with this status. */
async function runCi(
  said: string,
  status: number,
): Promise<{ line: string; status: number; lines: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-ci-'));
  try {
    await mkdir(join(folder, '.ci'));
    await copyFile(script, join(folder, '.ci/run'));
    await writeFile(join(folder, 'said'), said);
    const scripts = { test: `cat said; exit ${status}` };
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, scripts }));
    return await new Promise((resolve) => {
      execFile('bash', [join(folder, '.ci/run')], (error, stdout) => {
        const lines = stdout.trimEnd().split('\n');
        const line = lines.at(-1) ?? '';
        resolve({ line, status: error === null ? 0 : Number(error.code), lines });
      });
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

const rows: readonly (readonly [string, string, number, string, number])[] = [
  ['all tests pass', '  ✔ a\n  ✔ b\n  ─\n\n  2 tests passed\n', 0, '2 passed, 0 failed', 0],
  ['colours are on', '  \u001B[32m1 test passed\u001B[39m\n', 0, '1 passed, 0 failed', 0],
  [
    'some are skipped',
    '  5 tests passed\n  1 test skipped\n',
    0,
    '5 passed, 0 failed, 1 skipped',
    0,
  ],
  ['one fails', '  ✔ a\n  ✘ [fail]: b\n  ─\n  1 test failed\n', 1, '1 passed, 1 failed', 1],
  [
    'of two runs of ava one fails',
    '  ✔ a\n  ✔ b\n  2 tests passed\n  ✔ c\n  ✘ [fail]: d\n  ─\n  1 test failed\n',
    1,
    '3 passed, 1 failed',
    1,
  ],
  [
    'an exception is nobody’s',
    '  ✔ a\n  1 test passed\n  1 uncaught exception\n',
    1,
    '1 passed, 1 failed',
    1,
  ],
  [
    'a promise is lost and a hook fails',
    '  1 hook failed\n  2 unhandled rejections\n',
    1,
    '0 passed, 3 failed',
    1,
  ],
  [
    'a test never ends',
    '  ✔ a\n  1 test passed\n  2 tests remained pending after a timeout\n',
    1,
    '1 passed, 2 failed',
    1,
  ],
  ['the linter fails before any test', 'error: no-explicit-any\n', 1, '0 passed, 1 failed', 1],
  ['ava fails without saying so', '  3 tests passed\n', 1, '3 passed, 1 failed', 1],
  ['nothing runs', '', 0, '0 passed, 1 failed', 1],
  [
    'a test prints such a line itself',
    '    9 tests failed in the story\n  1 test passed\n',
    0,
    '1 passed, 0 failed',
    0,
  ],
];
for (const [what, said, status, line, expected] of rows) {
  test(`when ${what} it says ${line}`, async (t) => {
    t.like(await runCi(said, status), { line, status: expected });
  });
}

test('why a test failed is told once more after all the runs that came later', async (t) => {
  const said =
    '  ✔ a\n  ✘ [fail]: b\n  ─\n\n  b\n\n  four is not five\n\n  1 test failed\n' +
    '  ✔ c\n  ✔ d\n  ─\n\n  2 tests passed\n';
  const { lines } = await runCi(said, 1);
  t.is(lines.filter((line) => line === '  four is not five').length, 2);
  t.is(lines.filter((line) => line === '  ✔ c').length, 1);
  const passed = await runCi('  ✔ a\n  ─\n  1 test passed\n', 0);
  t.is(passed.lines.filter((line) => line === '  ─').length, 1);
});
