import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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

test('a damaged file is refused, and left as it is', (t) => {
  const file = fileOf(t);
  for (const text of ['', '{}', '{"version":1,"paused":"yes"}', '{"version":2}']) {
    writeFileSync(file.path, text);
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
