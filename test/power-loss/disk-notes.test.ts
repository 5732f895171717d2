/**
 * The power cut itself, tried on small programs: what each has synced is there afterwards, and what it has not is
 * gone. Were the library to overlook a call, or the cut to leave everything, these tests would fail.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { anySurvives, NOTHING_SURVIVES } from './disk.ts';
import { Machine } from './machine.ts';
import { durableBytes, parseNotes, unsyncedSteps } from './notes.ts';

const PATIENCE_MS = 20_000;
const sourceFile = (name: string): string => join(import.meta.dirname, '../../src', name);
const DURABLE_FILE = sourceFile('durable-file.ts');
const STORE_FILE = sourceFile('redis/embedded.ts');
const LOG_FILE = sourceFile('log.ts');

/** Runs lines of Node in the disk's folder until they have said that they are done, and leaves them there. */
async function run(machine: Machine, lines: string): Promise<ChildProcess> {
  const prelude = `import fs from 'node:fs';
    import * as durable from ${JSON.stringify(DURABLE_FILE)};
    const append = (name, text, sync) => {
      const handle = fs.openSync(name, 'a');
      fs.writeSync(handle, text);
      if (sync) fs[sync](handle);
      fs.closeSync(handle);
    };
    const syncFolder = (name) => fs.fsyncSync(fs.openSync(name, 'r'));`;
  const code = `${prelude}\n${lines}\nprocess.stdout.write('done'); setInterval(() => 0, 1000);`;
  return await started(machine, process.execPath, ['--input-type=module', '-e', code]);
}

async function started(machine: Machine, program: string, flags: string[]): Promise<ChildProcess> {
  const child = spawn(program, flags, {
    cwd: machine.disk,
    env: { ...process.env, ...machine.environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([
    new Promise((resolve) => child.stdout?.once('data', resolve)),
    new Promise((_, reject) => child.once('exit', () => reject(new Error('it has ended')))),
  ]);
  return child;
}

function machineFor(t: ExecutionContext): Machine {
  const machine = new Machine();
  t.teardown(() => machine.remove());
  return machine;
}

/** Name and content of every file. */
function filesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).toSorted();
  return Object.fromEntries(
    paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );
}

/** What a program does in a folder of its own, and what a cut leaves there. */
const LOST: readonly (readonly [string, string, Record<string, string>])[] = [
  ['a file that was never synced, nor its name', `append('a', 'bytes')`, {}],
  ['a synced file whose name was not', `append('a', 'bytes', 'fsyncSync')`, {}],
  ['a synced name of a file that was not', `append('a', 'bytes'); syncFolder('.')`, { a: '' }],
  [
    'what was appended after the last fsync',
    `append('a', 'old.', 'fsyncSync'); syncFolder('.'); append('a', 'new')`,
    { a: 'old.' },
  ],
  [
    'nothing of what came before the last fdatasync',
    `append('a', 'old.', 'fsyncSync'); syncFolder('.'); append('a', 'new', 'fdatasyncSync')`,
    { a: 'old.new' },
  ],
  [
    'a rename',
    `append('a', 'old', 'fsyncSync'); append('b', 'new', 'fsyncSync'); syncFolder('.');
     fs.renameSync('b', 'a')`,
    { a: 'old', b: 'new' },
  ],
  [
    'no rename that was synced, but the bytes that were not',
    `append('a', 'old', 'fsyncSync'); append('b', 'new'); syncFolder('.');
     fs.renameSync('b', 'a'); syncFolder('.')`,
    { a: '' },
  ],
  ['a removal', `append('a', 'old', 'fsyncSync'); syncFolder('.'); fs.rmSync('a')`, { a: 'old' }],
  [
    'a truncation, and what was written then',
    `append('a', 'long enough', 'fsyncSync'); syncFolder('.'); fs.writeFileSync('a', 'short')`,
    { a: 'long enough' },
  ],
  [
    'bytes that were written over others',
    `append('a', 'secret', 'fsyncSync'); syncFolder('.');
     const handle = fs.openSync('a', 'r+'); fs.writeSync(handle, '000000')`,
    { a: 'secret' },
  ],
  [
    'none of them once they are synced',
    `append('a', 'secret', 'fsyncSync'); syncFolder('.');
     const handle = fs.openSync('a', 'r+'); fs.writeSync(handle, '000000'); fs.fsyncSync(handle)`,
    { a: '000000' },
  ],
  [
    'a folder whose own name was not synced, with all that is in it',
    `fs.mkdirSync('in'); append('in/a', 'bytes', 'fsyncSync'); syncFolder('in')`,
    {},
  ],
  [
    'a link',
    `append('a', 'bytes', 'fsyncSync'); syncFolder('.'); fs.linkSync('a', 'b')`,
    { a: 'bytes' },
  ],
  [
    'a rename, a removal and a new file, one after the other, on one name',
    `append('a', 'first', 'fsyncSync'); append('b', 'second', 'fsyncSync'); syncFolder('.');
     fs.renameSync('b', 'a'); fs.rmSync('a'); append('a', 'third', 'fsyncSync'); fs.renameSync('a', 'c')`,
    { a: 'first', b: 'second' },
  ],
];

const KEPT: typeof LOST = [
  ['a file written over an older one', `durable.replaceDurably('f', 'new')`, { f: 'new' }],
  ['a new file', `durable.createDurably('g', 'new')`, { f: 'old', g: 'new' }],
  ['a destroyed file', `durable.destroyDurably('f')`, {}],
  [
    'a file in folders that are new',
    `durable.replaceDurably('x/y/z', 'new')`,
    { f: 'old', 'x/y/z': 'new' },
  ],
];

for (const [title, rows, first, survival] of [
  ['a power cut takes what was not synced', LOST, '', NOTHING_SURVIVES],
  [
    'what src/durable-file.ts has done is so after the worst cut',
    KEPT,
    `append('f', 'old', 'fsyncSync'); syncFolder('.');`,
    NOTHING_SURVIVES,
  ],
  [
    'what src/durable-file.ts has done is so after a middling cut',
    KEPT,
    `append('f', 'old', 'fsyncSync'); syncFolder('.');`,
    anySurvives(() => 0.5),
  ],
] as const) {
  test.serial(title, async (t) => {
    const machine = machineFor(t);
    const folders = rows.map((_, i) => `fs.mkdirSync('${i}');`).join(' ');
    const programs = rows.map(
      ([, lines], i) => `process.chdir('${i}'); { ${first} ${lines} } process.chdir('..');`,
    );
    await run(machine, `${folders} syncFolder('.'); ${programs.join('\n')}`);
    machine.cut(survival);
    for (const [i, [what, , left]] of rows.entries()) {
      t.deepEqual(filesOf(join(machine.disk, String(i))), left, what);
    }
  });
}

test.serial(
  'what one cut has left, the next one leaves, and what was written between them goes by the same rules',
  async (t) => {
    const machine = machineFor(t);
    await run(machine, `append('a', 'one.', 'fsyncSync'); syncFolder('.'); append('a', 'lost')`);
    t.is(machine.cut(NOTHING_SURVIVES).bytes, 4);
    await run(machine, `append('a', 'two.', 'fsyncSync'); append('a', 'lost again')`);
    t.is(machine.cut(NOTHING_SURVIVES).bytes, 10);
    await run(machine, `append('a', 'lost')`);
    machine.cut(NOTHING_SURVIVES);
    t.deepEqual(filesOf(machine.disk), { a: 'one.two.' });
  },
);

test.serial(
  'a cut that leaves some of what was not synced leaves any number of bytes and steps',
  async (t) => {
    const seen = new Set<string>();
    for (const share of [0, 0.3, 0.6, 0.999]) {
      const machine = machineFor(t);
      await run(
        machine,
        `append('a', '', 'fsyncSync'); syncFolder('.'); append('a', '123456789');
       append('b', '', 'fsyncSync'); append('c', '', 'fsyncSync')`,
      );
      machine.cut(anySurvives(() => share));
      seen.add(JSON.stringify(filesOf(machine.disk)));
    }
    t.deepEqual(
      [...seen],
      [{ a: '' }, { a: '123' }, { a: '123456', b: '' }, { a: '123456789', b: '', c: '' }].map(
        (each) => JSON.stringify(each),
      ),
    );
  },
);

test.serial(
  'a cut ends all programs, those that their parents have left too, and nothing is synced after it',
  async (t) => {
    const machine = machineFor(t);
    const lines = `append('a', '', 'fsyncSync'); syncFolder('.');
     process.stdout.write('x'); for (;;) append('a', 'x', 'fsyncSync');`;
    await run(machine, lines);
    const shell = await started(machine, 'sh', ['-c', 'sleep 1000 & sleep 1000 & echo started']);
    await new Promise((resolve) => shell.once('exit', resolve));
    await sleep(200);
    t.is(machine.programs, 3);
    const { bytes } = machine.cut(NOTHING_SURVIVES);
    t.is(machine.programs, 0);
    t.true(bytes <= 1, `${bytes} bytes of a file that syncs each byte`);
    t.true(readFileSync(join(machine.disk, 'a')).length > 1);
  },
);

test.serial(
  'what redis-server acknowledges with appendfsync always is there after a cut, and with everysec not all of it',
  async (t) => {
    const counts: Record<string, { said: number; left: number }> = {};
    for (const policy of ['always', 'everysec']) {
      const machine = machineFor(t);
      const socket = join(machine.disk, 's');
      const flags = `--port 0 --unixsocket ${socket} --appendonly yes --appendfsync ${policy} --save ''`;
      const server = (): ChildProcess =>
        spawn('sh', ['-c', `exec redis-server ${flags}`], {
          cwd: machine.disk,
          env: { ...process.env, ...machine.environment },
          stdio: 'ignore',
        });
      server();
      await answers(socket);
      // As the product does it once the server answers (src/redis/private-server.ts).
      await run(machine, `syncFolder('.')`);
      const endMs = Date.now() + 700;
      let said = 0;
      while (Date.now() < endMs) said = Number(await cli(socket, ['INCR', 'n']));
      machine.cut(NOTHING_SURVIVES);
      server();
      await answers(socket);
      counts[policy] = { said, left: Number(await cli(socket, ['GET', 'n'])) };
    }
    const { always, everysec } = counts;
    t.true((always?.said ?? 0) > 3);
    t.is(always?.left, always?.said);
    t.true((everysec?.left ?? 0) < (everysec?.said ?? 0), JSON.stringify(everysec));
  },
);

test.serial(
  'a private store that has just been made for the first time is there after a cut, in folders that are new',
  async (t) => {
    const machine = machineFor(t);
    await run(machine, withStore(`await store.redis.set('accepted', 'yes');`));
    machine.cut(NOTHING_SURVIVES);
    await run(
      machine,
      withStore(`fs.writeFileSync('found', await store.redis.get('accepted') ?? 'lost');`),
    );
    t.is(readFileSync(join(machine.disk, 'found'), 'utf8'), 'yes');
  },
);

test.serial(
  'what a redis-server had not synced when it was killed is synced before the next one answers for it',
  async (t) => {
    const machine = machineFor(t);
    await run(machine, withStore(`await store.redis.set('first', 'yes');`));
    machine.cut(NOTHING_SURVIVES);
    const lines = `await store.redis.config('SET', 'appendfsync', 'no');
      await store.redis.set('accepted', 'yes');
      const pid = Number(/process_id:(\\d+)/.exec(await store.redis.info('server'))[1]);
      process.kill(pid, 'SIGKILL');
      for (let found = null; found !== 'yes'; await new Promise((again) => setTimeout(again, 20))) {
        found = await store.redis.get('accepted').catch(() => null);
      }`;
    await run(machine, withStore(lines));
    machine.cut(NOTHING_SURVIVES);
    await run(
      machine,
      withStore(`fs.writeFileSync('found', await store.redis.get('accepted') ?? 'lost');`),
    );
    t.is(readFileSync(join(machine.disk, 'found'), 'utf8'), 'yes');
  },
);

/** Lines of a program with a private store, opened in folders that may be new. */
const withStore = (lines: string): string => `
  const { openStore } = await import(${JSON.stringify(STORE_FILE)});
  const { silentLog } = await import(${JSON.stringify(LOG_FILE)});
  const store = await openStore({ dataDir: 'var/lib/node', log: silentLog });
  ${lines}`;

async function answers(socket: string): Promise<void> {
  for (const endMs = Date.now() + PATIENCE_MS; ; await sleep(50)) {
    if ((await cli(socket, ['PING']).catch(() => '')) === 'PONG') return;
    if (Date.now() > endMs) throw new Error('redis-server does not answer');
  }
}

async function cli(socket: string, words: string[]): Promise<string> {
  const child = spawn('redis-cli', ['-s', socket, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await new Promise((resolve) => child.once('close', resolve));
  return text.trim();
}

test.serial('a file that nobody has noted is an error, not a guess', async (t) => {
  const machine = machineFor(t);
  await run(machine, `append('a', '', 'fsyncSync'); syncFolder('.')`);
  writeFileSync(join(machine.disk, 'stranger'), 'written by the test');
  t.throws(() => machine.cut(NOTHING_SURVIVES), { message: /stranger is there/ });
});

test.serial('and one that is adopted was there before', async (t) => {
  const machine = machineFor(t);
  writeFileSync(join(machine.disk, 'settings'), 'written by the test');
  machine.adopt(join(machine.disk, 'settings'));
  await run(machine, `append('a', '', 'fsyncSync'); syncFolder('.')`);
  machine.cut(NOTHING_SURVIVES);
  t.deepEqual(filesOf(machine.disk), { a: '', settings: 'written by the test' });
});

test.serial('a step that came while its folder was being synced may be lost', (t) => {
  const notes = parseNotes(
    ['create 1 2 a', 'syncing 1 x', 'create 1 3 b', 'synced 1 x', 'sync 3 7', ''].join('\n'),
  );
  t.deepEqual(unsyncedSteps(notes), [{ kind: 'create', folder: '1', file: '3', name: 'b' }]);
  t.deepEqual(durableBytes(notes).get('3'), { bytes: 7, former: null });
  t.deepEqual(durableBytes(notes).get('2'), { bytes: 0, former: null });
});
