/** What the kernel is told about a program that holds keys: no core file, and no debugger at a signal. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { listenersOf } from '../network/processes.ts';
import { temporaryDataDir, until } from '../redis/private-redis.ts';

const PROGRAM = pathToFileURL(join(import.meta.dirname, '../../src/cli/program.ts')).href;
const LOG = pathToFileURL(join(import.meta.dirname, '../../src/log.ts')).href;
const ROLE = `
  const { runProgram } = await import('${PROGRAM}');
  const { createLog } = await import('${LOG}');
  const up = setInterval(() => undefined, 1000);
  const log = createLog('guarded');
  await runProgram(log, async () => (log.info({}, 'up'), { stop: async () => clearInterval(up) }));
`;
/** Without any of our care, to see that these tests see something. */
const PLAIN = `setInterval(() => undefined, 1000); console.log('up');`;

/** Runs it in a folder of its own, with core files as large as they like where we may ask for them. */
async function start(t: ExecutionContext, code: string) {
  const cwd = await temporaryDataDir(t);
  const node = [process.execPath, '--input-type=module', '--eval', code];
  const command = isRoot ? ['prlimit', '--core=unlimited:unlimited', ...node] : node;
  const child = spawn(command[0] as string, command.slice(1), { cwd });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => (said += data.toString()));
  }
  await until(() => said.includes('up'), 20_000);
  const pid = child.pid as number;
  return { child, cwd, pid, said: () => said };
}

const isRoot = process.getuid?.() === 0;
const pattern = existsSync('/proc/sys/kernel/core_pattern')
  ? readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim()
  : '';

test('SIGUSR1 opened a debugger to every user of the machine', async (t) => {
  const plain = await start(t, PLAIN);
  plain.child.kill('SIGUSR1');
  await until(() => listenersOf([plain.pid]).length > 0);
  plain.child.kill('SIGKILL');
  const program = await start(t, ROLE);
  program.child.kill('SIGUSR1');
  await until(() => program.said().includes('does nothing here'));
  await sleep(300);
  t.deepEqual(listenersOf([program.pid]), []);
  t.notRegex(program.said(), /Debugger/);
  program.child.kill('SIGTERM');
  t.deepEqual(await once(program.child, 'exit'), [0, null]);
});

test('a program that dies leaves no core file, where the kernel would write one', async (t) => {
  const program = await start(t, ROLE);
  const limits = readFileSync(`/proc/${program.pid}/limits`, 'utf8');
  t.regex(limits, /^Max core file size +[01] +[01] /m);
  t.notRegex(program.said(), /core-possible/);
  program.child.kill('SIGSEGV');
  await once(program.child, 'exit');
  t.deepEqual(readdirSync(program.cwd), []);
  if (!isRoot || pattern.startsWith('|') || pattern.includes('/')) {
    t.log(`not compared with a process that may: core_pattern is ${pattern}`);
    return;
  }
  const script = 'ulimit -c unlimited; kill -SEGV $$';
  spawnSync('sh', ['-c', script], { cwd: program.cwd });
  t.is(readdirSync(program.cwd).length, 1, 'the kernel writes one for others');
});
