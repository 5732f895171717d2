/** A real DNS server on a test host: Debian's dnsmasq with records of the test's, and nothing behind it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostProcess } from './host-process.ts';
import type { TestHost } from './namespaces.ts';

/** What the server answers; every other name does not exist (NXDOMAIN). */
export interface DnsRecords {
  /** TXT records by name, such as `_panoramix.example.org`; several texts are several records. */
  readonly txt?: Readonly<Record<string, string | readonly string[]>>;
  /** A records by name. */
  readonly addresses?: Readonly<Record<string, string>>;
}

/** A running server. */
export interface DnsServer {
  /** `ADDRESS:53`, for `mixnet.dns_servers`. */
  readonly address: string;
  /** Answers these records from now on, and no others. */
  change(records: DnsRecords): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a DNS server on port 53 of a host and waits until it answers.
 * @param folder for its configuration file
 */
export async function startDns(
  host: TestHost,
  folder: string,
  records: DnsRecords,
): Promise<DnsServer> {
  const file = join(folder, `dnsmasq-${host.name}.conf`);
  let server = await startServer(host, file, records);
  return {
    address: `${host.address}:53`,
    change: async (changed) => {
      await server.stop();
      server = await startServer(host, file, changed);
    },
    stop: async () => server.stop(),
  };
}

async function startServer(
  host: TestHost,
  file: string,
  records: DnsRecords,
): Promise<HostProcess> {
  writeFileSync(file, configuration(host, records));
  const server = host.start('dnsmasq', ['--keep-in-foreground', `--conf-file=${file}`]);
  await server.says(/started, version/);
  // It says so before it has its user; a moment later signals find it ready to end.
  await sleep(50);
  return server;
}

function configuration(host: TestHost, records: DnsRecords): string {
  const texts = Object.entries(records.txt ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => `txt-record=${name},"${value}"`),
  );
  const addresses = Object.entries(records.addresses ?? {}).map(
    ([name, address]) => `host-record=${name},${address}`,
  );
  return [
    'no-resolv',
    'no-hosts',
    'bind-interfaces',
    `listen-address=${host.address}`,
    'local=/#/',
    'user=root',
    'pid-file=',
    'log-facility=-',
    ...texts,
    ...addresses,
    '',
  ].join('\n');
}
