/** The lock file against what `npm ci` demands of it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';

interface LockedPackage {
  readonly integrity?: string;
  readonly os?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lockFile = join(import.meta.dirname, '../../package-lock.json');
const { packages } = JSON.parse(await readFile(lockFile, 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

test('every optional package has its entry, for npm ci refuses a lock file that lacks one', (t) => {
  const locked = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)));
  const missing = Object.values(packages)
    .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
    .filter((name) => !locked.has(name));
  t.deepEqual(
    missing,
    [],
    'a registry that has not every platform makes npm install leave them out',
  );
});

test('every package that Linux installs has the hash of its contents', (t) => {
  const without = Object.entries(packages).filter(
    ([path, { integrity, os }]) =>
      path !== '' && integrity === undefined && (os?.includes('linux') ?? true),
  );
  const rare = /-(arm|ppc64|riscv64|s390x)\b|musl|x64-musl/;
  t.deepEqual(
    without.map(([path]) => path).filter((path) => !rare.test(path)),
    [],
  );
});
