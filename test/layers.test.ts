import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import test from 'ava';

const root = resolve(import.meta.dirname, '..');

/** Who stands on whom: a file may import from its own row and from rows above it. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/bytes.ts', 'src/errors.ts'],
  ['src/crypto'],
  ['src/api'],
  ['src/sphinx'],
  ['src/mixnet', 'src/mail'],
  ['src/client', 'src/simulation'],
  [
    'src/config.ts',
    'src/log.ts',
    'src/terminal.ts',
    'src/durable-file.ts',
    'src/key-files.ts',
    'src/tls-files.ts',
  ],
  ['src/redis'],
  ['src/mixer', 'src/agent', 'src/wizard', 'filters', 'controller'],
  ['src/cli'],
];
const PURE_ROWS = 6;
const PROGRAM_PACKAGES =
  /^(node:|ioredis$|bullmq$|koa$|@koa\/|smtp-server|nodemailer|pino$|piscina$)/;
const STANDS_APART = new Set(['src/crypto/native.ts']);

const sources = ['src', 'filters', 'controller'].flatMap(listSources);
const imports = new Map(sources.map((file) => [file, importsOf(file)]));

test('every source file stands in a known layer', (t) => {
  t.deepEqual(
    sources.filter((file) => rowOf(file) === -1),
    [],
  );
  t.true(sources.length > 40);
});

test('imports point down', (t) => {
  const upward = edges().filter(([from, to]) => rowOf(to) > rowOf(from));
  t.deepEqual(upward, []);
});

test('folders of one row do not import each other, mixer apart, which wizard and agent may use', (t) => {
  const sideways = edges().filter(
    ([from, to]) =>
      rowOf(from) === rowOf(to) &&
      rowOf(from) > 0 &&
      partOf(from) !== partOf(to) &&
      !/^src\/(config|log|terminal|durable-file|key-files|tls-files)\.ts$/.test(to) &&
      !(partOf(to) === 'src/mixer' && /^src\/(wizard|agent)$/.test(partOf(from))),
  );
  t.deepEqual(sideways, []);
});

test('from crypto to client nothing needs Node: that half runs in a browser', (t) => {
  const bound = sources
    .filter((file) => rowOf(file) < PURE_ROWS && !STANDS_APART.has(file))
    .flatMap((file) =>
      (imports.get(file) ?? [])
        .filter((name) => PROGRAM_PACKAGES.test(name) || STANDS_APART.has(name))
        .map((name) => `${file} -> ${name}`),
    );
  t.deepEqual(bound, []);
});

test('there is no cycle of imports', (t) => {
  const finished = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [[...path.slice(path.indexOf(file)), file].join(' -> ')];
    if (finished.has(file)) return [];
    const found = (imports.get(file) ?? [])
      .filter((name) => imports.has(name))
      .flatMap((name) => walk(name, [...path, file]));
    finished.add(file);
    return found;
  };
  t.deepEqual(
    sources.flatMap((file) => walk(file, [])),
    [],
  );
});

function listSources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const names = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'/g,
  );
  return [...names].map((match) => {
    const name = match[1] ?? match[2] ?? '';
    return name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name;
  });
}

function edges(): [string, string][] {
  return sources.flatMap((file) =>
    (imports.get(file) ?? [])
      .filter((name) => imports.has(name))
      .map((name): [string, string] => [file, name]),
  );
}

function partOf(file: string): string {
  return LAYERS.flat().find((part) => file === part || file.startsWith(`${part}/`)) ?? '';
}

function rowOf(file: string): number {
  const part = partOf(file);
  return part === '' ? -1 : LAYERS.findIndex((row) => row.includes(part));
}
