/**
 * Test hosts: network namespaces of the kernel, each with an address of its own, on a bridge in one more
 * namespace. Nothing of the machine's own network is touched, and two runs at once do not meet: all use
 * 10.77.0.0/24, each inside its own namespaces. See README.md here.
 *
 *     const network = await startHosts(['alpha', 'beta', 'names'], { nameserver: 'names' });
 *     t.teardown(() => network.stop());
 *     const program = network.host('alpha').start('node', ['server.ts']);
 */
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { HostProcess, hostEnvironment, type Outcome, type StartOptions } from './host-process.ts';

const execute = promisify(execFile);
const FAMILY = 'panoramix-test';
const NETWORK = '10.77.0';
/** Where `ip netns exec` looks for a namespace's own files of /etc. */
const ETC = '/etc/netns';

/** One test host. */
export class TestHost {
  readonly name: string;
  readonly address: string;
  /** Its namespace, for `ip netns exec`. */
  readonly namespace: string;
  readonly #processes: HostProcess[] = [];

  constructor(name: string, address: string, namespace: string) {
    this.name = name;
    this.address = address;
    this.namespace = namespace;
  }

  /** A command line that runs a program in this host, for who starts it otherwise (a terminal). */
  command(program: string, args: readonly string[] = []): string[] {
    return ['ip', 'netns', 'exec', this.namespace, program, ...args];
  }

  /** Starts a program in this host; it ends with the network at the latest. */
  start(program: string, args: readonly string[] = [], options: StartOptions = {}): HostProcess {
    const [first = '', ...rest] = this.command(program, args);
    const started = new HostProcess(first, rest, options);
    this.#processes.push(started);
    return started;
  }

  /** Runs a program in this host to its end. */
  run(program: string, args: readonly string[] = [], options?: StartOptions): Promise<Outcome> {
    return this.start(program, args, options).ended;
  }

  /** Stops what was started here, all at once. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
  }
}

/** Hosts that reach each other and nobody else. */
export interface TestHosts {
  /** A temporary folder for what the hosts keep; removed at the end. */
  readonly folder: string;
  readonly hosts: readonly TestHost[];
  host(name: string): TestHost;
  /** Ends every process in the hosts, kills what does not stop, removes hosts and folder. Harmless when repeated. */
  stop(): Promise<void>;
}

/**
 * Makes hosts, and ends them when `stop` is called or this process dies of anything.
 * @param names of the hosts, at most 200, each `[a-z0-9-]+`; their addresses are 10.77.0.1 and so on
 * @param options.nameserver the host that all ask for names, where there is one (dns.ts)
 */
export async function startHosts(
  names: readonly string[],
  options: { readonly nameserver?: string } = {},
): Promise<TestHosts> {
  await removeLeftovers();
  const run = `${FAMILY}-${process.pid}-${startedTicks(process.pid)}-${randomBytes(3).toString('hex')}`;
  const folder = folderOf(run);
  mkdirSync(folder, { mode: 0o700 });
  const keeper = startKeeper(run, folder);
  const hosts = names.map((name, i) => new TestHost(name, `${NETWORK}.${i + 1}`, `${run}-${name}`));
  const host = (name: string): TestHost => {
    const found = hosts.find((each) => each.name === name);
    if (!found) throw new Error(`no host is called ${name}`);
    return found;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(hosts.map((each) => each.stop()));
    if (keeper.exitCode !== null) return;
    const gone = once(keeper, 'exit');
    keeper.ref();
    keeper.stdin.end();
    await gone;
  };
  try {
    const bridge = `${run}-net`;
    await ip('netns', 'add', bridge);
    await ip('-n', bridge, 'link', 'add', 'bridge', 'type', 'bridge');
    await ip('-n', bridge, 'link', 'set', 'bridge', 'up');
    for (const [i, each] of hosts.entries()) await connect(each, bridge, `port${i + 1}`);
    if (options.nameserver) {
      for (const each of hosts) nameResolver(each, host(options.nameserver));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { folder, hosts, host, stop };
}

/** Why no test hosts can be made here, or null where they can. */
export async function whyNoHosts(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'network namespaces are made only by root';
  const trial = `${FAMILY}-${process.pid}-${startedTicks(process.pid)}-trial`;
  try {
    await ip('netns', 'add', trial);
    await ip('-n', trial, 'link', 'add', 'bridge', 'type', 'bridge');
    await ip('-n', trial, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two');
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return 'there is no ip command: bash docker/setup.sh test';
    }
    return `this machine lets nobody make network namespaces (CAP_NET_ADMIN, CAP_SYS_ADMIN): ${
      (error as { stderr?: string }).stderr?.trim() ?? String(error)
    }`;
  } finally {
    await ip('netns', 'del', trial).catch(() => undefined);
  }
}

async function connect(host: TestHost, bridge: string, port: string): Promise<void> {
  const { namespace } = host;
  await ip('netns', 'add', namespace);
  // Made inside the bridge's namespace: it is never to be seen in the machine's own.
  const pair = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace];
  await ip('-n', bridge, 'link', 'add', port, ...pair);
  await ip('-n', bridge, 'link', 'set', port, 'master', 'bridge', 'up');
  await ip('-n', namespace, 'address', 'add', `${host.address}/24`, 'dev', 'eth0');
  await ip('-n', namespace, 'link', 'set', 'lo', 'up');
  await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
}

function nameResolver({ namespace }: TestHost, nameserver: TestHost): void {
  try {
    mkdirSync(join(ETC, namespace), { recursive: true });
  } catch {
    // Another run's end has just removed the empty folder above.
    mkdirSync(join(ETC, namespace), { recursive: true });
  }
  writeFileSync(
    join(ETC, namespace, 'resolv.conf'),
    `nameserver ${nameserver.address}\noptions timeout:1 attempts:2\n`,
  );
}

async function ip(...args: readonly string[]): Promise<string> {
  const { stdout } = await execute('ip', [...args], { env: hostEnvironment() });
  return stdout;
}

type Keeper = ChildProcessByStdio<Writable, null, null>;

/** Ends all processes in a run's namespaces and removes the namespaces, and then what else is named. */
const REMOVE = `
  remove() {
    local run=$1; shift
    local names; names=$(ip netns list | cut -d' ' -f1 | grep "^$run-")
    local name pid
    for name in $names; do for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done; done
    for name in $names; do ip netns del "$name"; rm -rf "${ETC}/$name"; done
    rmdir ${ETC}
    for ((i = 0; i < 20; i++)); do rm -rf "$@" && break; sleep 0.1; done
  }`;

/**
 * A shell that waits for the end of its input, which is when \`stop\` closes it or when the test process dies of
 * anything, kill -9 included; then it removes the run.
 */
function startKeeper(run: string, folder: string): Keeper {
  const script = `${REMOVE}\n cat >/dev/null; remove "$1" "$2" 2>/dev/null; exit 0`;
  const keeper = spawn('bash', ['-c', script, 'keeper', run, folder], {
    detached: true,
    env: hostEnvironment(),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  keeper.unref();
  return keeper;
}

/** Removes the namespaces of runs whose process is gone and whose keeper was killed, too. */
async function removeLeftovers(): Promise<void> {
  const names = (await ip('netns', 'list')).split('\n').map((line) => line.split(' ')[0] ?? '');
  const runs = new Set(names.map((name) => RUN.exec(name)?.[0]).filter((run) => run !== undefined));
  for (const run of runs) {
    const [, pid, started] = RUN.exec(run) ?? [];
    if (startedTicks(Number(pid)) === started) continue;
    const script = `${REMOVE}\n remove "$1" "$2" 2>/dev/null; exit 0`;
    await execute('bash', ['-c', script, 'remove', run, folderOf(run)], { env: hostEnvironment() });
  }
}

/** Named after its run, so that whoever removes the one finds the other. */
function folderOf(run: string): string {
  return join(tmpdir(), run);
}

const RUN = new RegExp(`^${FAMILY}-(\\d+)-(\\d+)-[0-9a-z]+`);

/** When a process was started, in ticks since the machine's start: tells it from a later one of its id. Empty: it is gone. */
function startedTicks(pid: number): string {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22 of proc(5); the name in field 2 may hold anything, and ends with the last bracket.
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
