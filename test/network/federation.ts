/**
 * A mixnet of providers as the design has it: each on a host of its own (namespaces.ts) with its own controller
 * over TLS, its node, Redis and data folders; configuration files and programs as operators use them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { Arrivals, type Arrival } from '../../src/cli/demo/arrivals.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { stuff } from '../postfix/swaks.ts';
import { type Authority, type CertificateFiles, createAuthority } from './certificates.ts';
import { startDns } from './dns.ts';
import type { HostProcess } from './host-process.ts';
import { startHosts, type TestHost, type TestHosts } from './namespaces.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const NAMESERVER = 'names';
const PORT = 8443;
const START_MS_MAX = 60_000;

/** One provider or mix operator. */
export interface FederatedPeer {
  readonly name: string;
  readonly role: 'mix' | 'gateway';
  readonly host: TestHost;
  readonly folder: string;
  /** Of its controller. */
  readonly url: string;
  readonly certificate: CertificateFiles;
  /** What its mail server, a stand-in on the default ports of Postfix's side, has received. */
  readonly arrivals: Arrivals;
  /** Of that what nobody has asked for yet. */
  readonly received: Arrival[];
  controller: HostProcess | null;
  node: HostProcess | null;
}

/** The peers, all up. */
export interface Federation {
  readonly hosts: TestHosts;
  readonly authority: Authority;
  readonly peers: readonly FederatedPeer[];
  /** As the founder's wizard has said it. */
  readonly mixnetUrl: string;
  peer(name: string): FederatedPeer;
  /** Starts the controller of a peer, which was stopped. */
  startController(peer: FederatedPeer): Promise<void>;
  /** Hands a mail to the gateway of a peer, as its Postfix would. */
  submit(from: FederatedPeer, recipient: string, message: string): Promise<void>;
  /** The next mail that comes to a peer's mail server out of the mixnet. */
  nextMail(at: FederatedPeer, patienceMs: number): Promise<Arrival>;
}

/**
 * Brings up three mixes and the providers alpha.example and beta.example, each on its own host; the first mix
 * invites the others. What fails throws; the caller stops the hosts either way.
 */
export async function startFederation(hosts: TestHosts): Promise<Federation> {
  const authority = await createAuthority(join(hosts.folder, 'authority'));
  const peers = await Promise.all(NAMES.map((name) => makePeer(name, hosts, authority)));
  await startDns(hosts.host(NAMESERVER), hosts.folder, { txt: domainRecords(peers) });
  for (const peer of peers) {
    writeConfigurations(peer, peers, authority);
    startMailServer(peer);
  }
  await Promise.all(peers.map((peer) => startController(peer)));
  const mixnetUrl = await found(peers);
  for (const peer of peers) startNode(peer);
  for (const peer of peers.filter(({ role }) => role === 'gateway')) {
    await peer.node?.says(/Gateway takes mail/, START_MS_MAX);
  }
  return {
    hosts,
    authority,
    peers,
    mixnetUrl,
    peer: (name) => peers.find((each) => each.name === name) as FederatedPeer,
    startController,
    submit,
    nextMail,
  };
}

const NAMES = ['mix-1', 'mix-2', 'mix-3', 'alpha', 'beta'] as const;

/** The hosts that a federation lives on. */
export async function startFederationHosts(): Promise<TestHosts> {
  return await startHosts([...NAMES, NAMESERVER], { nameserver: NAMESERVER });
}

/** A peer with its folder and certificate, and nothing that runs. */
export async function makePeer(
  name: string,
  hosts: TestHosts,
  authority: Authority,
): Promise<FederatedPeer> {
  const host = hosts.host(name);
  const folder = join(hosts.folder, name);
  mkdirSync(folder, { mode: 0o700 });
  return {
    name,
    role: name.startsWith('mix') ? 'mix' : 'gateway',
    host,
    folder,
    url: `https://${host.address}:${PORT}/`,
    certificate: await authority.issue(name, { hosts: [host.address] }),
    arrivals: new Arrivals(join(folder, 'mail')),
    received: [],
    controller: null,
    node: null,
  };
}

/** What each provider's name server says of who serves its mail. */
function domainRecords(peers: readonly FederatedPeer[]): Record<string, string> {
  return Object.fromEntries(
    peers
      .filter(({ role }) => role === 'gateway')
      .map(({ name, folder }) => [
        `_panoramix.${name}.example`,
        readOrCreateIdentity(join(folder, 'node'), native).peerId,
      ]),
  );
}

function writeConfigurations(
  peer: FederatedPeer,
  peers: readonly FederatedPeer[],
  { caFile }: Authority,
): void {
  const { name, role, folder, host, url, certificate } = peer;
  const isFounder = peer === peers[0];
  const redis = { max_memory_mb: 256 };
  write(join(folder, 'controller.yaml'), {
    name,
    data_dir: 'controller',
    redis,
    controller: {
      listen: `${host.address}:${PORT}`,
      catalog_url: url,
      tls: certificate,
      mixnet_file: 'node/mixnet.json',
    },
  });
  write(join(folder, 'node.yaml'), {
    name,
    data_dir: 'node',
    tls_ca: caFile,
    redis,
    node: { controller_url: url },
    mixnet: {
      action: isFounder ? 'create' : 'join',
      catalog_url: peers[0]?.url,
      name: 'federation',
      roles: [role],
      domains: role === 'gateway' ? [`${name}.example`] : [],
      ...(isFounder && {
        invitations: peers.length - 1,
        // Two of three mixes: there is another way where one is away.
        traffic: { delay_mean_ms: 50, ticks_per_second: 5, mixes_per_route: 2 },
      }),
    },
    ...(role === 'gateway' && { gateway: { exit: { delay_mean_ms: 50 } } }),
  });
}

function write(path: string, content: object): void {
  writeFileSync(path, stringify(content), { mode: 0o600 });
}

/** On the default ports 10036 and 10037, of this host's own loopback. */
export function startMailServer({ role, host, folder }: FederatedPeer): void {
  if (role !== 'gateway') return;
  const places = [`10036=${join(folder, 'passed')}`, `10037=${join(folder, 'mail')}`];
  host.start(process.execPath, [MAIN, 'demo-receiver', ...places]);
}

async function startController(peer: FederatedPeer): Promise<void> {
  peer.controller = program(peer, 'controller', 'controller.yaml');
  await peer.controller.says(/Controller answers/, START_MS_MAX);
}

function startNode(peer: FederatedPeer): void {
  peer.node = program(peer, peer.role, 'node.yaml');
}

function program({ host, folder }: FederatedPeer, verb: string, file: string): HostProcess {
  return host.start(process.execPath, [MAIN, verb, '--config', join(folder, file)]);
}

/** All wizards, unasked: the first creates, each other joins with an invitation of its own. */
async function found([founder, ...guests]: readonly FederatedPeer[]): Promise<string> {
  const wizardOf = (peer: FederatedPeer, invitation?: string): HostProcess =>
    peer.host.start(
      process.execPath,
      [MAIN, 'wizard', '--yes', '--json', '--config', join(peer.folder, 'node.yaml')],
      { env: { PANORAMIX_INVITATION: invitation } },
    );
  const creating = wizardOf(founder as FederatedPeer);
  const [, list = ''] = await creating.says(/"invitations":(\[[^\]]+\])/, START_MS_MAX);
  const invitations = JSON.parse(list) as string[];
  const joining = guests.map((guest, i) => wizardOf(guest, invitations[i]));
  for (const wizard of [creating, ...joining]) {
    const { status, stdout, stderr } = await wizard.ended;
    if (status !== 0) throw new Error(`a wizard ended with ${status}: ${stdout}${stderr}`);
  }
  return /"mixnetUrl":"([^"]+)"/.exec(creating.said)?.[1] ?? '';
}

/** Hands a mail to the gateway of a peer, as its Postfix would. */
export async function submit(
  from: FederatedPeer,
  recipient: string,
  message: string,
): Promise<void> {
  const args = ['--server', '127.0.0.1', '--port', '10035', '--helo', 'postfix.example'];
  args.push('--from', `ada@${from.name}.example`, '--to', recipient);
  args.push('--data', '-', '--no-data-fixup', '--suppress-data');
  const { status, stdout } = await from.host.run('swaks', args, { input: stuff(message) });
  if (status !== 0) throw new Error(`the gateway of ${from.name} did not take it:\n${stdout}`);
}

/** The next mail that comes to a peer's mail server out of the mixnet. */
export async function nextMail(at: FederatedPeer, patienceMs: number): Promise<Arrival> {
  for (const endMs = Date.now() + patienceMs; ; await sleep(100)) {
    at.received.push(...at.arrivals.take());
    const mail = at.received.shift();
    if (mail) return mail;
    if (Date.now() > endMs) throw new Error(`no mail came to ${at.name} within ${patienceMs} ms`);
  }
}

/** The directory that a peer's node holds, as it lies on its disk. */
export function heldDirectory(peer: FederatedPeer): string {
  return readFileSync(join(peer.folder, 'node/directory.json'), 'utf8');
}
