/**
 * The configuration folder of a private Postfix: a plain Debian server's, made small, and on it the
 * stanza files of docker/postfix as they are shipped. Only the four ports are put in their place, so
 * what an operator installs is what the tests run.
 */
import { copyFile, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PostfixPorts } from './ports.ts';

const shipped = join(import.meta.dirname, '../../docker/postfix');

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
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(join(etc, 'main.cf'), `${lines.join('\n')}\n${await readShipped('main.cf')}`);
  const stanzas = placePorts(await readShipped('master.cf'), instance);
  await writeFile(join(etc, 'master.cf'), `${debianServices(instance.ports)}\n${stanzas}`);
  const optIn = placePorts(await readShipped('panoramix_opt_in'), instance);
  await writeFile(join(etc, 'panoramix_opt_in'), optIn);
  await copyFile(join(shipped, 'panoramix_privacy'), join(etc, 'panoramix_privacy'));

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

function readShipped(name: string): Promise<string> {
  return readFile(join(shipped, name), 'utf8');
}

/** Fails where a shipped file no longer names a port as its default: then it is not what we test. */
function placePorts(text: string, { ports, protocol }: InstanceFiles): string {
  const places: readonly (readonly [string, string])[] = text.includes('FILTER ')
    ? [
        [
          'FILTER panoramix:[127.0.0.1]:10034',
          protocol === 'lmtp'
            ? `FILTER panoramix:[127.0.0.1]:${ports.lmtp}`
            : `FILTER panoramix-smtp:[127.0.0.1]:${ports.smtp}`,
        ],
      ]
    : [
        ['127.0.0.1:10036 inet', `127.0.0.1:${ports.reinject} inet`],
        ['127.0.0.1:10037 inet', `127.0.0.1:${ports.exit} inet`],
      ];
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
