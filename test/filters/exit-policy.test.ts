import { appendFile, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { silentLog } from '../../src/log.ts';
import { scanPath, type Mailbox } from '../../src/mail/address.ts';
import { PanoramixError } from '../../src/errors.ts';
import { ExitPolicy } from '../../filters/exit-policy.ts';
import { OptOutList } from '../../filters/opt-out.ts';

function mailbox(address: string): Mailbox {
  const path = scanPath(`<${address}>`);
  if (!path.ok || path.mailbox === null) throw new Error(address);
  return path.mailbox;
}

function policy(over: { domains?: readonly string[]; list?: OptOutList } = {}) {
  const clock = { nowMs: 0 };
  const { list } = over;
  const exit = new ExitPolicy({
    owns: (domain) => domain === 'own.example',
    wider: { domains: over.domains ?? [], recipientsPerHour: 3, messageBytesMax: 1000 },
    optedOut: list === undefined ? null : (one) => list.has(one),
    now: () => clock.nowMs,
  });
  return {
    exit,
    clock,
    said: (address: string, bytes = 10) => exit.objectionTo(mailbox(address), bytes),
  };
}

test('by default an exit delivers to its own domains, and to no other', (t) => {
  const { exit, said } = policy();
  for (let i = 0; i < 100; i++)
    t.is(said('bob@own.example', 1e9), null, 'own mail has no limit here');
  for (const address of [
    'bob@other.example',
    'bob@sub.own.example',
    'bob',
    'bob@own.example.org',
  ]) {
    t.deepEqual(said(address), {
      reply: '550 5.7.1 This exit does not deliver to that domain',
      permanent: true,
    });
  }
  t.true(exit.delivers('own.example'));
  t.false(exit.delivers(''));
});

test('a wider policy lets so many recipients through in an hour, then they wait', (t) => {
  const { said, clock } = policy({ domains: ['wide.example'] });
  for (let i = 0; i < 3; i++) t.is(said('bob@wide.example'), null);
  const waits = said('bob@wide.example');
  t.regex(waits?.reply ?? '', /^451 4\.7\.1 /);
  t.false(waits?.permanent);
  t.is(said('bob@own.example'), null, 'own recipients do not feel it');
  clock.nowMs += 1_200_001;
  t.is(said('bob@wide.example'), null);
  t.truthy(said('bob@wide.example'));
  clock.nowMs -= 10_000_000;
  t.truthy(said('bob@wide.example'), 'a clock that goes back gives nothing');
});

test('a wider policy has a size of its own, which costs no recipient', (t) => {
  const { said } = policy({ domains: ['wide.example'] });
  for (let i = 0; i < 5; i++) {
    t.deepEqual(said('bob@wide.example', 1001), {
      reply: '552 5.3.4 Message too big for this exit',
      permanent: true,
    });
  }
  t.is(said('bob@wide.example', 1000), null);
});

async function listOf(
  t: ExecutionContext,
  text: string,
): Promise<{ path: string; list: OptOutList }> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-opt-out-'));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const path = join(folder, 'opt-out');
  await writeFile(path, text);
  return { path, list: new OptOutList(path, silentLog) };
}

test('who is on the opt-out list gets no mail, with any extension and in any case', async (t) => {
  const text =
    '# remarks\n\nBob@OWN.example  # asked on Monday\n@bücher.example\nal+x@own.example\n';
  const { list } = await listOf(t, text);
  const rows = [
    ['bob@own.example', true],
    ['BOB@own.example.', true],
    ['bob+lists@own.example', true],
    ['bobby@own.example', false],
    ['bob@other.example', false],
    ['anybody@xn--bcher-kva.example', true],
    ['anybody@sub.xn--bcher-kva.example', false],
    ['al+x@own.example', true],
    ['al@own.example', false],
    ['"bob"@own.example', true],
    ['"B\\ob"@own.example', true],
    ['b\\ob@own.example', true],
    ['"bob+lists"@own.example', true],
    ['"bob b"@own.example', false],
  ] as const;
  for (const [address, isListed] of rows) t.is(list.has(mailbox(address)), isListed, address);
  const { said } = policy({ list });
  t.deepEqual(said('bob@own.example'), {
    reply: '550 5.7.1 Recipient takes no mail out of the mixnet',
    permanent: true,
  });
  t.is(said('eve@own.example'), null);
});

test('the list is read again when it changes; what cannot be read leaves the last one', async (t) => {
  const { path, list } = await listOf(t, 'bob@own.example\n');
  await appendFile(path, 'eve@own.example\n');
  t.true(list.has(mailbox('eve@own.example')));
  await rename(path, `${path}.away`);
  t.true(list.has(mailbox('eve@own.example')));
  await writeFile(path, 'no address at all\n');
  t.true(list.has(mailbox('bob@own.example')));
  await writeFile(path, '');
  await utimes(path, 1, 1);
  t.false(list.has(mailbox('bob@own.example')));
});

test('a list that cannot be read at start, or has a line that is none, is refused by its place', async (t) => {
  const missing = t.throws(() => new OptOutList('/nonexistent/list', silentLog), {
    instanceOf: PanoramixError,
  });
  t.is(missing.code, 'config-invalid');
  const { path } = await listOf(t, '');
  await writeFile(path, 'bob@own.example\nbob\n');
  const malformed = t.throws(() => new OptOutList(path, silentLog), { instanceOf: PanoramixError });
  t.regex(malformed.message, /opt-out:2: neither an address nor @domain: bob/);
});
