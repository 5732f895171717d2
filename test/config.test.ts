import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isLoopback, parseConfig, readConfig, section } from '../src/config.ts';

const BASE = 'name: a\ndata_dir: data\n';

test('defaults stand where the file is silent, and paths count from the file', (t) => {
  const config = parseConfig(
    `${BASE}gateway: {}\nnode: { controller_url: "http://127.0.0.1:8000/" }\n`,
    '/etc/p/a.yaml',
  );
  t.is(config.data_dir, '/etc/p/data');
  t.deepEqual(config.gateway?.lmtp, { host: '127.0.0.1', port: 10_034 });
  t.deepEqual(config.gateway?.smtp, { host: '127.0.0.1', port: 10_035 });
  t.deepEqual(config.gateway?.reinject, { host: '127.0.0.1', port: 10_036 });
  t.deepEqual(config.gateway?.deliver, { host: '127.0.0.1', port: 10_037 });
  t.deepEqual(config.gateway?.returns, { host: '127.0.0.1', port: 10_038 });
  t.is(config.gateway?.reports.delay_warning_ms, 14_400_000);
  t.is(config.gateway?.exit.sender, 'return');
  t.is(config.node?.mixnet_file, '/etc/p/data/mixnet.json');
});

test('the list of who opted out counts from the file, beside all else of its section', (t) => {
  const text = `${BASE}gateway: { hostname: mx.example.org, exit: { opt_out_file: opt-out } }\n`;
  const { gateway } = parseConfig(text, '/etc/p/a.yaml');
  t.is(gateway?.exit.opt_out_file, '/etc/p/opt-out');
  t.is(gateway?.hostname, 'mx.example.org');
});

test('certificates and authorities count from the file, too', (t) => {
  const config = parseConfig(
    `${BASE}tls_ca: ca.pem\ncontroller: { catalog_url: "https://mix.example.org/", tls: { cert: tls/cert.pem, key: /k.pem } }\n`,
    '/etc/p/a.yaml',
  );
  t.is(config.tls_ca, '/etc/p/ca.pem');
  t.deepEqual(config.controller?.tls, { cert: '/etc/p/tls/cert.pem', key: '/k.pem' });
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['an unknown key', `${BASE}gatway: {}\n`, /Unrecognized key: "gatway"/],
  [
    'an unknown key inside a section',
    `${BASE}gateway:\n  lmpt: 127.0.0.1:1\n`,
    /gateway: Unrecognized key: "lmpt"/,
  ],
  [
    'a port that is none',
    `${BASE}gateway:\n  lmtp: 127.0.0.1:70000\n`,
    /:4: gateway\.lmtp: expected HOST:PORT/,
  ],
  ['a key given twice', `${BASE}name: b\n`, /unique/],
  ['a URL that is none', `${BASE}node: { controller_url: "ftp://x/" }\n`, /node\.controller_url/],
  [
    'a domain with a blank',
    `${BASE}gateway: { exit: { domains: ["a b"] } }\n`,
    /gateway\.exit\.domains\.0/,
  ],
  [
    'plain HTTP to another host, for the own controller',
    `${BASE}node: { controller_url: "http://192.0.2.1:8000/" }\n`,
    /node\.controller_url: url-insecure/,
  ],
  [
    'plain HTTP to another host, as what the controller is called',
    `${BASE}controller: { catalog_url: "http://mix.example.org/" }\n`,
    /controller\.catalog_url: url-insecure/,
  ],
  [
    'plain HTTP to another host, for the meeting',
    `${BASE}mixnet: { action: create, catalog_url: "http://mix.example.org/" }\n`,
    /mixnet\.catalog_url: url-insecure/,
  ],
  [
    'a certificate where the URL is not https',
    `${BASE}controller:\n  catalog_url: http://127.0.0.1:8000/\n  tls: { cert: c.pem, key: k.pem }\n`,
    /:4: controller\.catalog_url: with "tls:"/,
  ],
  ['a certificate without its key', `${BASE}controller: { tls: { cert: c.pem } }\n`, /tls\.key/],
  ['a URL that is no URL', `${BASE}node: { controller_url: h }\n`, /node\.controller_url/],
  ['broken YAML', 'name: [a\n', /file\.yaml/],
  ['a tag that is not known', `${BASE}node: !secret a\n`, /file\.yaml:3.*!secret/],
  ['an alias without its anchor', `${BASE}node: *few\n`, /file\.yaml.*few/],
  ['no file at all', '', /file\.yaml/],
];

for (const [what, text, message] of REFUSED) {
  test(`the configuration refuses ${what} and says where`, (t) => {
    const error = t.throws(() => parseConfig(text, '/etc/file.yaml'));
    t.regex(error?.message ?? '', message);
    t.like(error, { code: 'config-invalid', temporary: false });
  });
}

test('a section that a role needs is asked for by name', (t) => {
  t.throws(() => section(parseConfig(BASE, '/x.yaml'), 'gateway'), {
    message: /"gateway:" is missing/,
  });
});

test('only loopback is loopback', (t) => {
  t.true(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(isLoopback));
  t.false(['0.0.0.0', '::', '192.0.2.1', '128.0.0.1', 'example.org'].some(isLoopback));
});

test('a file with a password or an invitation in it is refused where others may read it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a.yaml');
  const join1 =
    'mixnet: { action: join, catalog_url: "http://127.0.0.1:1/", invitation: "id|token" }\n';
  const rows = [
    ['redis: { url: "redis://me:pass-word@127.0.0.1/" }\n', true],
    [join1, true],
    ['redis: { url: "redis://127.0.0.1/" }\n', false],
    ['redis: { url: "/run/redis.sock" }\n', false],
  ] as const;
  for (const [text, isSecret] of rows) {
    writeFileSync(path, `${BASE}${text}`);
    chmodSync(path, 0o640);
    if (isSecret) t.throws(() => readConfig(path), { message: /a\.yaml may be read by others/ });
    else t.notThrows(() => readConfig(path));
    chmodSync(path, 0o600);
    t.notThrows(() => readConfig(path));
  }
});

test('what is wrong with a file quotes no line of it: a password may stand there', (t) => {
  for (const text of [
    'redis: { url: "redis://me:pass-word@x/\n',
    'redis: { url: [redis://me:pass-word@x/ }\n',
    'redis: { url: redis://me:pass-word@x/, url: redis://me:pass-word@x/ }\n',
    'redis: { uri: redis://me:pass-word@x/ }\n',
    'redis: redis://me:pass-word@x/\n',
  ]) {
    const error = t.throws(() => parseConfig(`${BASE}${text}`, '/etc/p/a.yaml'), undefined, text);
    t.notRegex(error?.message ?? '', /pass-word/, text);
  }
});
