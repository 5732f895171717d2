import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { OperatorFile } from '../../src/mixer/operator-file.ts';

test('what is not there says nothing, and what was written is read again', (t) => {
  const file = fileOf(t);
  t.deepEqual(file.read(), { version: 1, paused: false, forgiven: [], signed: {} });
  file.update({ paused: true });
  file.update({ change: { wish: { weight: 3 }, tokens: ['secret'] } });
  file.sign('where', 'a text');
  const after = {
    version: 1 as const,
    paused: true,
    forgiven: [],
    change: { wish: { weight: 3 }, tokens: ['secret'] },
    signed: { where: 'a text' },
  };
  t.deepEqual(file.read(), after);
  t.is(statSync(file.path).mode & 0o777, 0o600, 'it holds tokens');
  file.update({ change: undefined });
  t.is(file.read().change, undefined);
});

test('a change is named on the head that it was made on, and on no other', (t) => {
  const file = fileOf(t);
  t.is(file.changeOn('head'), null);
  file.update({ change: { wish: { weight: 3 } } });
  t.is(file.changeOn('head'), null, 'not proposed yet');
  const proposed = { wish: { weight: 3 }, negotiation_id: 'where', on_log_head: 'head' };
  file.update({ change: proposed });
  t.is(file.changeOn('head'), 'where');
  t.is(file.changeOn('next head'), null, 'applied, whether or not a wizard has noted it, or void');
});

test('a file with tokens is refused where others may read it', (t) => {
  const file = fileOf(t);
  file.update({ paused: true });
  chmodSync(file.path, 0o604);
  t.throws(() => file.read(), { message: /may be read by others/ });
  chmodSync(file.path, 0o600);
  t.true(file.read().paused);
});

test('a damaged file is refused, and left as it is', (t) => {
  const file = fileOf(t);
  for (const text of ['', '{}', '{"version":1,"paused":"yes"}', '{"version":2}']) {
    writeFileSync(file.path, text, { mode: 0o600 });
    t.throws(() => file.read(), { message: /move it away/ });
    t.throws(() => file.update({ paused: true }));
    t.is(readFileSync(file.path, 'utf8'), text);
  }
});

function fileOf(t: ExecutionContext): OperatorFile {
  const dir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return new OperatorFile(join(dir, 'mixnet.json'));
}
