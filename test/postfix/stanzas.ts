/**
 * The configuration folder of a private Postfix: a plain Debian server's, made small, and on it the
 * stanza files of docker/postfix as they are shipped. Only the four ports are put in their place, so
 * what an operator installs is what the tests run.
 */
import { copyFile, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PostfixPorts } from './ports.ts';

const shipped = join(import.meta.dirname, '../../docker/postfix');
const RETURN_TABLES = [
  ['transport_maps', 'panoramix_returns'],
  ['virtual_alias_maps', 'panoramix_return_addresses'],
] as const;

/** What stands in main.cf and in the tables; folders are absolute. */
export interface InstanceFiles {
  readonly folder: string;
  readonly hostname: string;
  readonly ports: PostfixPorts;
  /** Own domains, each with the local parts of its users. */
  readonly domains: Readonly<Record<string, readonly string[]>>;
  /** Other domains and the loopback ports where their mail servers listen. */
  readonly routes: Readonly<Record<string, number>>;
  /** How opted-in mail goes to the filter. */
  readonly protocol: 'lmtp' | 'smtp';
  /** Further lines of main.cf. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Writes FOLDER/etc and returns its path. */
export async function writeConfiguration(instance: InstanceFiles): Promise<string> {
  const etc = join(instance.folder, 'etc');
  await mkdir(etc);
  const settings = { ...mainSettings(instance), ...instance.settings };
  // As docker/README.md says: before what is there already.
  for (const [name, table] of RETURN_TABLES) {
    settings[name] = `pcre:$config_directory/${table}, ${settings[name] ?? ''}`;
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(join(etc, 'main.cf'), `${lines.join('\n')}\n${await readShipped('main.cf')}`);
  const stanzas = place(await readShipped('master.cf'), [
    ['127.0.0.1:10036 inet', `127.0.0.1:${instance.ports.reinject} inet`],
    ['127.0.0.1:10037 inet', `127.0.0.1:${instance.ports.exit} inet`],
  ]);
  await writeFile(join(etc, 'master.cf'), `${debianServices(instance.ports)}\n${stanzas}`);
  for (const [name, places] of tablePlaces(instance)) {
    await writeFile(join(etc, name), place(await readShipped(name), places));
  }
  for (const name of ['panoramix_privacy', 'panoramix_return_addresses']) {
    await copyFile(join(shipped, name), join(etc, name));
  }

  const users = Object.entries(instance.domains).flatMap(([domain, names]) =>
    names.map((name) => `${name}@${domain} ${domain}/${name}/`),
  );
  await writeFile(join(etc, 'users'), `${users.join('\n')}\n`);
  const routes = Object.entries(instance.routes).map(
    ([domain, port]) => `${domain} smtp:[127.0.0.1]:${port}`,
  );
  await writeFile(join(etc, 'routes'), `${routes.join('\n')}\n`);
  // Postfix waits for 2 s with a file that was just written: somebody may still be writing.
  const pastSeconds = Date.now() / 1000 - 60;
  for (const name of await readdir(etc)) await utimes(join(etc, name), pastSeconds, pastSeconds);
  return etc;
}

/** The tables that name ports or domains, and what stands there instead. */
function tablePlaces({ ports, protocol, domains }: InstanceFiles) {
  const filter =
    protocol === 'lmtp'
      ? `panoramix:[127.0.0.1]:${ports.lmtp}`
      : `panoramix-smtp:[127.0.0.1]:${ports.smtp}`;
  const own = Object.keys(domains).map((domain) => domain.replaceAll('.', String.raw`\.`));
  return [
    ['panoramix_opt_in', [['FILTER panoramix:[127.0.0.1]:10034', `FILTER ${filter}`]]],
    [
      'panoramix_returns',
      [
        [String.raw`(?:example\.org)`, `(?:${own.join('|')})`],
        ['panoramix-return:[127.0.0.1]:10038', `panoramix-return:[127.0.0.1]:${ports.returns}`],
      ],
    ],
  ] as const;
}

function readShipped(name: string): Promise<string> {
  return readFile(join(shipped, name), 'utf8');
}

/** Fails where a shipped file no longer says what is to be replaced: then it is not what we test. */
function place(text: string, places: readonly (readonly [string, string])[]): string {
  let placed = text;
  for (const [standard, own] of places) {
    if (!placed.includes(standard)) throw new Error(`docker/postfix does not say ${standard}`);
    placed = placed.replace(standard, own);
  }
  return placed;
}

function mainSettings({ folder, hostname, domains }: InstanceFiles): Record<string, string> {
  return {
    compatibility_level: '3.6',
    queue_directory: `${folder}/queue`,
    data_directory: `${folder}/data`,
    maillog_file: `${folder}/mail.log`,
    maillog_file_prefixes: folder,
    myhostname: hostname,
    mydestination: '',
    alias_maps: '',
    alias_database: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: 'loopback-only',
    inet_protocols: 'ipv4',
    biff: 'no',
    append_dot_mydomain: 'no',
    in_flow_delay: '0',
    smtpd_peername_lookup: 'no',
    // Nothing leaves this machine: no name is looked up, and what has no route is refused.
    disable_dns_lookups: 'yes',
    smtp_host_lookup: 'native',
    default_transport: 'error:5.4.4 no route from this test',
    transport_maps: 'texthash:$config_directory/routes',
    virtual_mailbox_domains: Object.keys(domains).join(' '),
    virtual_mailbox_maps: 'texthash:$config_directory/users',
    virtual_mailbox_base: `${folder}/mail`,
    // nobody's: mail is never delivered as root or as Postfix's own user.
    virtual_uid_maps: 'static:65534',
    virtual_gid_maps: 'static:65534',
  };
}

/** Debian's master.cf without chroot, with two ports: where users submit, and where the world comes in. */
function debianServices(ports: PostfixPorts): string {
  return `127.0.0.1:${ports.submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o cleanup_service_name=panoramix-cleanup
127.0.0.1:${ports.outside} inet n - n - - smtpd
  -o mynetworks=192.0.2.1
pickup unix n - n 60 1 pickup
  -o cleanup_service_name=panoramix-cleanup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}
