import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readOrCreateSecret } from '../src/key-files.ts';

const drawn = (byte: number) => (length: number) => new Uint8Array(length).fill(byte);

test('a secret is written once with mode 0600 and never overwritten', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'deep', 'identity.key');
  t.deepEqual(readOrCreateSecret(path, drawn(7)), new Uint8Array(32).fill(7));
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(readOrCreateSecret(path, drawn(9)), new Uint8Array(32).fill(7));
});

test('a secret that others may read is refused until it is closed again', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'key');
  readOrCreateSecret(path, drawn(7));
  chmodSync(path, 0o640);
  const error = t.throws(() => readOrCreateSecret(path, drawn(7)), {
    message: /may be read by others/,
  });
  t.false(error?.message.includes(readFileSync(path, 'latin1').trim()));
  chmodSync(path, 0o600);
  t.notThrows(() => readOrCreateSecret(path, drawn(7)));
});

test('a secret that is there is read, and none is drawn that a crash could leave behind', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'key');
  readOrCreateSecret(path, drawn(7));
  readOrCreateSecret(path, () => t.fail());
  t.deepEqual(readdirSync(folder), ['key']);
});

test('a truncated secret is refused, not replaced', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'key');
  writeFileSync(path, '07'.repeat(31), { mode: 0o600 });
  t.throws(() => readOrCreateSecret(path, drawn(7)), { message: /64 hex digits/ });
});
