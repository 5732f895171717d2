/**
 * docker/setup.sh in a small project of its own, with an npm and an apt-get that write down how they
 * were called: what it does when, and what it leaves behind.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const script = join(import.meta.dirname, '../../docker/setup.sh');
const isRoot = process.getuid?.() === 0;
/** What the script may use of the system; redis-server is not among it. */
const tools =
  'bash cat chmod debconf-set-selections dirname env flock grep id mktemp mv rm sha256sum sleep tee touch tr';

interface Project {
  readonly folder: string;
  run(...options: string[]): Promise<Outcome>;
  /** A program of this name in the project's PATH. */
  program(name: string, body: string): Promise<void>;
  calls(): Promise<string[]>;
}
interface Outcome {
  readonly status: number;
  readonly said: string;
}

/** A project whose npm installs a Node that says 26, and that has every program it needs. */
async function startProject(t: ExecutionContext): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-setup-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755);
  for (const name of ['docker', 'bin']) await mkdir(join(folder, name));
  await copyFile(script, join(folder, 'docker/setup.sh'));
  await writeFile(join(folder, 'package-lock.json'), '{}');
  const where = await output('bash', ['-c', `type -P ${tools}`]);
  for (const path of where.trim().split('\n')) {
    await symlink(path, join(folder, 'bin', path.split('/').at(-1) ?? ''));
  }
  const project: Project = {
    folder,
    run: (...options) => runScript(folder, options),
    async program(name, body) {
      // A link to the system's own must not be written through.
      await rm(join(folder, 'bin', name), { force: true });
      await writeFile(join(folder, 'bin', name), `#!/bin/bash\n${body}\n`);
      await chmod(join(folder, 'bin', name), 0o755);
    },
    async calls() {
      const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
      return calls.split('\n').filter((line) => line !== '');
    },
  };
  await project.program('redis-server', '');
  await project.program(
    'npm',
    `echo "npm $*" >>${folder}/calls
     rm -rf node_modules
     sleep 0.3
     /bin/mkdir -p node_modules/.bin
     printf '#!/bin/bash\\necho v26.0.0\\n' >node_modules/.bin/node
     chmod 755 node_modules/.bin/node`,
  );
  return project;
}

function output(program: string, options: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, [...options], (_error, stdout) => resolve(stdout));
  });
}

function runScript(folder: string, options: readonly string[]): Promise<Outcome> {
  const asNobody = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const [program = '', ...rest] = [
    ...(options[0] === 'as-nobody' ? asNobody : []),
    '/bin/bash',
    'docker/setup.sh',
    ...options.filter((option) => option !== 'as-nobody'),
  ];
  const env = { PATH: `${folder}/node_modules/.bin:${folder}/bin`, HOME: folder };
  return new Promise((resolve) => {
    execFile(program, rest, { cwd: folder, env }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), said: stdout + stderr }),
    );
  });
}

test('a fresh checkout gets its packages, and from then on nothing is done', async (t) => {
  const project = await startProject(t);
  t.is((await project.run('demo')).status, 0);
  const startMs = performance.now();
  const again = await project.run('demo');
  t.deepEqual(again, { status: 0, said: '' });
  t.true(performance.now() - startMs < 2000, 'some milliseconds, and slack for a busy machine');
  t.is((await project.calls()).length, 1);
  t.regex((await project.calls())[0] ?? '', /^npm ci --include=dev --include=optional /);
});

test('two at once install once: the second waits, says so and finds all there', async (t) => {
  const project = await startProject(t);
  const outcomes = await Promise.all([project.run('demo'), project.run('demo')]);
  t.deepEqual(
    outcomes.map(({ status }) => status),
    [0, 0],
  );
  t.is(outcomes.filter(({ said }) => said.includes('waiting for it')).length, 1);
  t.is((await project.calls()).length, 1);
});

test('it installs again after an interrupted installation and after a changed lock file', async (t) => {
  const project = await startProject(t);
  await mkdir(join(project.folder, 'node_modules/half'), { recursive: true });
  await project.run('demo');
  t.is((await project.calls()).length, 1);
  await writeFile(join(project.folder, 'package-lock.json'), '{"other":true}');
  await project.run('demo');
  t.is((await project.calls()).length, 2);
});

test('an npm that fails leaves no stamp, and its reason is told', async (t) => {
  const project = await startProject(t);
  await project.program('npm', 'echo "no such package" >&2; exit 7');
  for (const attempt of [1, 2]) {
    const { status, said } = await project.run('demo');
    t.is(status, 1, `attempt ${attempt}`);
    t.regex(said, /no such package[^]*npm ci failed/);
  }
});

test('npm does not run on the Node that it is about to replace', async (t) => {
  const project = await startProject(t);
  await mkdir(join(project.folder, 'node_modules/.bin'), { recursive: true });
  await project.program('npm', `echo "$PATH" >>${project.folder}/calls; exit 1`);
  await project.run('demo');
  t.deepEqual(await project.calls(), [`${project.folder}/bin:/usr/sbin:/sbin`]);
});

test('where no new enough Node comes with the packages it says what is missing', async (t) => {
  const project = await startProject(t);
  await project.program('npm', '/bin/mkdir -p node_modules');
  await project.program('node', 'echo v20.1.0');
  const { status, said } = await project.run('demo');
  t.is(status, 1);
  t.regex(said, /v20\.1\.0, too old[^]*no Node 24\.12 or newer/);
});

const asRoot = isRoot ? test : test.skip;

asRoot(
  'who is not root and has no sudo gets the exact command, and nothing is installed',
  async (t) => {
    const project = await startProject(t);
    await project.program('apt-get', 'exit 1');
    await rm(join(project.folder, 'bin/redis-server'));
    const { status, said } = await project.run('as-nobody', 'demo');
    t.is(status, 1);
    t.regex(
      said,
      /As root, run: apt-get install --no-remove --no-install-recommends redis-server\n/,
    );
    t.deepEqual(await project.calls(), []);
  },
);

asRoot('the tests want more than the demo, and all that is missing is named at once', async (t) => {
  const project = await startProject(t);
  await project.program('apt-get', 'exit 1');
  await project.program('swaks', '');
  const { status, said } = await project.run('as-nobody', 'test');
  t.is(status, 1);
  const missing = /missing on this machine: (.*)$/m.exec(said)?.[1]?.split(' ') ?? [];
  // The script also looks into /usr/sbin, which is the machine's own here.
  const wanted = { iproute2: 'ip', 'dnsmasq-base': 'dnsmasq', openssl: 'openssl', tmux: 'tmux' };
  for (const [name, program] of Object.entries(wanted)) {
    t.is(missing.includes(name), !existsSync(`/usr/sbin/${program}`), name);
  }
  t.false(missing.includes('swaks'));
  t.false(missing.includes('redis-server'));
});

/** Whether a process may have mounts of its own: not in every container. */
const mayMount = isRoot && spawnSync('unshare', ['--mount', 'true']).status === 0;
const inOwnSbin = mayMount ? test : test.skip;

/** /usr/sbin is a folder of the test's own while the script runs: what it writes there harms nobody. */
async function runInOwnSbin(
  project: Project,
  before: string,
  after: string,
  options: string,
): Promise<Outcome> {
  const { folder } = project;
  await writeFile(
    join(folder, 'own-sbin'),
    `export PATH=${folder}/bin; unset DEBIAN_FRONTEND; /bin/mount -t tmpfs none /usr/sbin; ${before}
     bash docker/setup.sh ${options}; status=$?; ${after}; exit $status`,
  );
  return new Promise((resolve) => {
    execFile('unshare', ['--mount', 'bash', 'own-sbin'], { cwd: folder }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), said: stdout + stderr }),
    );
  });
}

const aptGetNotes = (folder: string): string =>
  `echo "apt-get $*: $DEBIAN_FRONTEND $(cat /usr/sbin/policy-rc.d | tr '\\n' ' ')" >>${folder}/calls`;
const aptGet = (folder: string): string => `${aptGetNotes(folder)}
  case "$*" in *install*) printf '#!/bin/bash\\n' >${folder}/bin/redis-server; chmod 755 ${folder}/bin/redis-server;; esac`;

inOwnSbin('root gets what is missing; no service starts and the policy is put back', async (t) => {
  const project = await startProject(t);
  await rm(join(project.folder, 'bin/redis-server'));
  await project.program('apt-get', aptGet(project.folder));
  const { status, said } = await runInOwnSbin(
    project,
    `printf 'before\\n' >/usr/sbin/policy-rc.d`,
    'echo "left: $(cat /usr/sbin/policy-rc.d*)"',
    'demo',
  );
  t.is(status, 0, said);
  t.regex(said, /left: before$/m);
  const [install] = (await project.calls()).filter((call) => call.includes(' install '));
  t.regex(install ?? '', /--no-remove --no-install-recommends redis-server: noninteractive/);
  t.regex(install ?? '', /exit 101/);
});

inOwnSbin(
  'an apt-get that fails leaves the policy as it was, and the command is told',
  async (t) => {
    const project = await startProject(t);
    await rm(join(project.folder, 'bin/redis-server'));
    await project.program('apt-get', `${aptGetNotes(project.folder)}; exit 100`);
    const { status, said } = await runInOwnSbin(
      project,
      '',
      'ls -A /usr/sbin >/dev/null 2>&1; [ -e /usr/sbin/policy-rc.d ] || echo none left',
      'demo',
    );
    t.is(status, 1);
    t.regex(said, /By hand, as root: apt-get install .* redis-server\n/);
    t.regex(said, /^none left$/m);
    const calls = await project.calls();
    t.true(
      calls.some((call) => call.includes(' update')),
      'the lists are fetched and it is tried again',
    );
  },
);

inOwnSbin('a busy package manager is waited for', async (t) => {
  const project = await startProject(t);
  const { folder } = project;
  await rm(join(folder, 'bin/redis-server'));
  await project.program('sleep', `echo waited >>${folder}/calls`);
  await project.program(
    'apt-get',
    `if [ "$(grep -c waited ${folder}/calls)" != 4 ]; then
       echo 'E: Could not get lock /var/lib/apt/lists/lock' >&2; exit 100; fi
     ${aptGet(folder)}`,
  );
  await writeFile(join(folder, 'calls'), '');
  t.is((await runInOwnSbin(project, '', 'true', 'demo')).status, 0);
});

inOwnSbin('what a killed set-up left of the policy is put back by the next one', async (t) => {
  const project = await startProject(t);
  await project.program('apt-get', aptGet(project.folder));
  const { said } = await runInOwnSbin(
    project,
    `printf 'before\\n' >/usr/sbin/policy-rc.d.before-panoramix
     printf '# written by the set-up script of panoramix for the time of its installation\\n' >/usr/sbin/policy-rc.d`,
    'echo "left: $(cat /usr/sbin/policy-rc.d*)"',
    'packages redis-server',
  );
  t.regex(said, /left: before$/m);
});
