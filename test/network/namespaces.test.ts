/** The rig itself: hosts reach each other and nobody else, names and certificates work, nothing is left behind. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createAuthority } from './certificates.ts';
import { startDns } from './dns.ts';
import { hostsTest } from './hosts-test.ts';
import { hostEnvironment } from './host-process.ts';
import { startHosts, type TestHosts } from './namespaces.ts';

const rig = join(import.meta.dirname, 'namespaces.ts');

async function start(
  t: ExecutionContext,
  names: string[],
  nameserver?: string,
): Promise<TestHosts> {
  const network = await startHosts(names, nameserver === undefined ? {} : { nameserver });
  t.teardown(() => network.stop());
  return network;
}

const namespaces = (): string[] =>
  execFileSync('ip', ['netns', 'list'], { env: hostEnvironment(), encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('panoramix-test-'));

/** Says `here` to everybody who connects to this address. */
const SERVER = `require('node:net').createServer((socket) => socket.end('here')).listen(9000, process.argv[1], () => console.log('up'))`;
/** Prints what is said there, or why nobody answers. */
const CLIENT = `const socket = require('node:net').connect(9000, process.argv[1]);
  socket.on('data', (data) => console.log(String(data))).on('error', (error) => console.log(error.code));`;

hostsTest('hosts reach each other by address, and loopback is each one’s own', async (t) => {
  const network = await start(t, ['alpha', 'beta']);
  const [alpha, beta] = [network.host('alpha'), network.host('beta')];
  t.deepEqual([alpha.address, beta.address], ['10.77.0.1', '10.77.0.2']);
  await alpha.start('node', ['-e', SERVER, '0.0.0.0']).says(/up/);
  t.is((await beta.run('node', ['-e', CLIENT, alpha.address])).stdout, 'here\n');
  t.is((await alpha.run('node', ['-e', CLIENT, '127.0.0.1'])).stdout, 'here\n');
  t.is((await beta.run('node', ['-e', CLIENT, '127.0.0.1'])).stdout, 'ECONNREFUSED\n');
  t.is((await beta.run('node', ['-e', CLIENT, '192.0.2.1'])).stdout, 'ENETUNREACH\n');
});

hostsTest('two runs at once have the same addresses and do not meet', async (t) => {
  const [one, two] = [await start(t, ['alpha', 'beta']), await start(t, ['alpha', 'beta'])];
  await one.host('alpha').start('node', ['-e', SERVER, '10.77.0.1']).says(/up/);
  t.is((await one.host('beta').run('node', ['-e', CLIENT, '10.77.0.1'])).stdout, 'here\n');
  t.is((await two.host('beta').run('node', ['-e', CLIENT, '10.77.0.1'])).stdout, 'ECONNREFUSED\n');
});

hostsTest(
  'a host answers for names, TXT and addresses, and what it has not does not exist',
  async (t) => {
    const network = await start(t, ['alpha', 'names'], 'names');
    const dns = await startDns(network.host('names'), network.folder, {
      txt: { '_panoramix.alpha.example': 'ab'.repeat(32) },
      addresses: { 'mix.alpha.example': '10.77.0.1' },
    });
    const ask = async (code: string): Promise<string> => {
      const script = `const dns = require('node:dns').promises;
      ${code}.then((found) => console.log(JSON.stringify(found)), (error) => console.log(error.code));`;
      return (await network.host('alpha').run('node', ['-e', script])).stdout.trim();
    };
    const txt = `dns.resolveTxt('_panoramix.alpha.example')`;
    t.is(await ask(txt), JSON.stringify([['ab'.repeat(32)]]));
    // By the system's own way, of getaddrinfo, as fetch asks.
    t.is(await ask(`dns.lookup('mix.alpha.example')`), '{"address":"10.77.0.1","family":4}');
    t.is(await ask(`dns.resolveTxt('_panoramix.beta.example')`), 'ENOTFOUND');
    await dns.change({ txt: { '_panoramix.alpha.example': ['one', 'two'] } });
    t.deepEqual((JSON.parse(await ask(txt)) as string[][]).flat().toSorted(), ['one', 'two']);
    await dns.stop();
    t.regex(await ask(txt), /^E(TIMEOUT|CONNREFUSED)$/);
  },
);

hostsTest(
  'an authority of its own signs for a host; without it, late, or elsewhere nobody believes',
  async (t) => {
    const network = await start(t, ['alpha', 'beta']);
    const authority = await createAuthority(join(network.folder, 'ca'));
    const hosts = ['10.77.0.1', 'mix.alpha.example'];
    const good = await authority.issue('alpha', { hosts });
    const late = await authority.issue('late', {
      hosts,
      fromMs: Date.now() - 7_200_000,
      untilMs: Date.now() - 60_000,
    });
    const other = await authority.issue('other', { hosts: ['10.77.0.2'] });
    t.is(statSync(good.key).mode & 0o777, 0o600);
    const server = `const { readFileSync } = require('node:fs');
    for (const [i, name] of process.argv.slice(1).entries()) require('node:https').createServer(
      { cert: readFileSync(name + '.pem'), key: readFileSync(name + '.key') }, (_, answer) => answer.end('here'),
    ).listen(8443 + i, '0.0.0.0', () => console.log('up' + i));`;
    const files = [good, late, other].map(({ cert }) => cert.replace('.pem', ''));
    const program = network.host('alpha').start('node', ['-e', server, ...files]);
    for (const each of [/up0/, /up1/, /up2/]) await program.says(each);
    const ask = async (port: number, env: Record<string, string>): Promise<string> => {
      const client = `fetch('https://10.77.0.1:${port}/').then((answer) => answer.text()).then(
      (text) => console.log(text), (error) => console.log(error.cause.code));`;
      return (await network.host('beta').run('node', ['-e', client], { env })).stdout.trim();
    };
    const env = { NODE_EXTRA_CA_CERTS: authority.caFile };
    t.is(await ask(8443, env), 'here');
    t.is(await ask(8444, env), 'CERT_HAS_EXPIRED');
    t.is(await ask(8445, env), 'ERR_TLS_CERT_ALTNAME_INVALID');
    t.is(await ask(8443, {}), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  },
);

hostsTest(
  'the end of hosts ends what runs in them, even what left its process group',
  async (t) => {
    const network = await startHosts(['alpha'], { nameserver: 'alpha' });
    const { namespace } = network.host('alpha');
    const outcome = await network
      .host('alpha')
      .run('bash', ['-c', 'setsid sleep 1000 >/dev/null 2>&1 & echo $!']);
    const pid = Number(outcome.stdout);
    t.true(existsSync(`/proc/${pid}`));
    await network.stop();
    await network.stop();
    t.false(existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '');
    t.false(namespaces().some((line) => line.startsWith(namespace)));
    t.false(existsSync(network.folder));
    t.false(existsSync(join('/etc/netns', namespace)));
  },
);

const STARTS = `import { startHosts } from ${JSON.stringify(rig)};
  const network = await startHosts(['alpha']);
  network.host('alpha').start('sleep', ['1000']);
  console.log(network.host('alpha').namespace, network.folder);
  await new Promise((resolve) => setTimeout(resolve, 60_000));`;

async function startInChild(): Promise<{
  child: ReturnType<typeof spawn>;
  namespace: string;
  folder: string;
}> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', STARTS], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const [namespace = '', folder = ''] = said.toString().trim().split(' ');
  return { child, namespace, folder };
}

hostsTest('a test process that is killed leaves no host behind', async (t) => {
  const { child, namespace, folder } = await startInChild();
  t.true(namespaces().some((line) => line.startsWith(namespace)));
  child.kill('SIGKILL');
  for (let tries = 0; existsSync(folder) && tries < 100; tries += 1) await sleep(50);
  t.false(existsSync(folder));
  t.false(namespaces().some((line) => line.startsWith(namespace)));
});

hostsTest(
  'what is left where the keeper was killed, too, goes with the next start; what lives stays',
  async (t) => {
    const living = await start(t, ['alpha']);
    const { child, namespace, folder } = await startInChild();
    const [pid] = execFileSync('pgrep', ['-P', String(child.pid), '-f', 'keeper'], {
      encoding: 'utf8',
    }).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'exit');
    t.true(namespaces().some((line) => line.startsWith(namespace)));
    await start(t, ['beta']);
    t.false(namespaces().some((line) => line.startsWith(namespace)));
    t.false(existsSync(folder));
    t.true(namespaces().some((line) => line.startsWith(living.host('alpha').namespace)));
  },
);
