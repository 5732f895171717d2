/** The configuration file: an operator's slip is named, with its line, and never taken for something else. */
import { parseConfig, type Address, type Config } from '../../../src/config.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { textSeeds } from '../seeds.ts';
import { hold, lossyText, namedOrNull, type Target } from '../target.ts';

const WORDS = [
  ': ', '- ', '\n', '  ', '\t', '&a ', '*a', '<<: *a', '!!binary ', '!!js/function ', '---\n', '...\n', '|\n', '>\n',
  '{', '}', '[', ']', '"', "'", '#', '? ', '%YAML 1.1\n', '~', '0x1f', '.inf', '.nan', '2026-01-01', 'on', '1e9',
  'name', 'data_dir', 'node', 'gateway', 'controller', 'mixnet', 'redis', '127.0.0.1:0', '[::1]:8000', 'http://a/',
  'https://a.example/', '__proto__', 'constructor', '\x00', '\xef\xbb\xbf', '\xc2\x85', '&a [*a,*a,*a,*a,*a,*a,*a,*a]',
]; // prettier-ignore

const SEEDS = [
  'name: a\ndata_dir: data\n',
  `name: mix-1
data_dir: /var/lib/panoramix
log_level: debug
redis: { max_memory_mb: 64 }
controller:
  listen: 127.0.0.1:8000
  catalog_url: http://127.0.0.1:8000/
  trusted_proxies: [192.0.2.1, "2001:db8::1"]
  proposal: { purpose: batch, backend: SPHINXMIX, body_len: 1024, group: 713, header_len: 192 }
node:
  controller_url: https://a.example/
  threads: 2
mixnet:
  action: create
  catalog_url: http://127.0.0.1:8000/
  roles: [mix, gateway]
  domains: [In.Example, _b.example]
  dns_servers: [127.0.0.1:53, "[::1]:53"]
  endpoint: { size_min: 3, size_max: 10, wait_ms: 5000 }
  traffic: { delay_mean_ms: 10, ticks_per_second: 0.5 }
gateway:
  lmtp: 127.0.0.1:10034
  limits:
    sender: &few { mails_per_hour: 3 }
    client: *few
  exit: { domains: [c.example], opt_out_file: out.txt }
  reports: { delay_warning_ms: 0 }
`,
];

export function openConfig(): Target {
  return {
    seeds: textSeeds(SEEDS),
    mutations: [...LINE_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 16_384,
    // A YAML parser at work: 16 kB of anything may well take a while.
    cpuMsMax: 1_000,
    shortRuns: 3_000,
    run(input) {
      const text = lossyText(input);
      const config = namedOrNull(() => parseConfig(text, '/etc/panoramix/a.yaml'));
      if (config === null) return;
      hold(config.data_dir.startsWith('/'), 'a folder that is relative to nothing');
      hold(Object.getPrototypeOf(config) === Object.prototype, 'a prototype from a file');
      checkAddresses(config);
    },
  };
}

/** Where a program listens or connects: a host and a port, never something that Node takes for a path. */
function checkAddresses(config: Config): void {
  const { gateway, controller, mixnet } = config;
  const all: (Address | undefined)[] = [controller?.listen, ...(mixnet?.dns_servers ?? [])];
  all.push(gateway?.lmtp, gateway?.smtp, gateway?.reinject, gateway?.deliver, gateway?.returns);
  for (const address of all) {
    if (address === undefined) continue;
    hold(address.host !== '', 'an address without a host');
    hold(Number.isInteger(address.port) && address.port <= 65_535, 'a port that is none');
  }
}
