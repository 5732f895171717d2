import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../../src/crypto/native.ts';
import { readOrCreateBatchKeys } from '../../../src/mixer/batch/batch-keys.ts';

const DAMAGES: readonly [from: RegExp, to: string, what: string][] = [
  [/^./, '', 'no JSON'],
  [/("mix_secret":").{8}/, '$1', "a secret of the other group's length"],
  [/("mix_secret":").{64}/, `$1${'0'.repeat(64)}`, 'a secret of zeros'],
  [/("order_key":")./, '$1', 'a short order key'],
  [/"X25519"/, '"P-224"', 'another group'],
  [/"ep"/, '"eq"', 'another endpoint'],
];

for (const [from, to, what] of DAMAGES) {
  test(`a batch key file with ${what} is named`, (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
    t.teardown(() => rmSync(dataDir, { recursive: true }));
    const keys = readOrCreateBatchKeys(dataDir, native, 'ep', 'X25519');
    const path = join(dataDir, 'batch', 'ep.json');
    const good = readFileSync(path, 'utf8');
    t.regex(good, from);
    writeFileSync(path, good.replace(from, to));
    const read = () => readOrCreateBatchKeys(dataDir, native, 'ep', 'X25519');
    t.throws(read, { code: 'config-invalid', message: /batch\/ep\.json/ });
    writeFileSync(path, good);
    t.deepEqual(read().mixKey.secret, keys.mixKey.secret);
  });
}
