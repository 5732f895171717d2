/** The rig itself: instances do not meet, and none is left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { mail } from './messages.ts';
import { postfixTest } from './postfix-test.ts';
import { startPostfix } from './private-postfix.ts';
import { stuff } from './swaks.ts';

const rig = join(import.meta.dirname, 'private-postfix.ts');
const options = { name: 'alpha', domains: { 'alpha.example': ['ada'] } };

postfixTest('stopping one instance leaves the other at work', async (t) => {
  const [first, second] = [await startPostfix(options), await startPostfix(options)];
  t.teardown(() => second.stop());
  await first.stop();
  await first.stop();
  t.false(existsSync(first.folder));
  await second.submit({ from: '', to: ['ada@alpha.example'], message: mail() });
  t.is((await second.waitForMail('ada@alpha.example')).length, 1);
});

postfixTest('a test process that is killed leaves no Postfix behind', async (t) => {
  const script = `import { startPostfix } from ${JSON.stringify(rig)};
    console.log((await startPostfix(${JSON.stringify(options)})).folder);
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const folder = said.toString().trim();
  t.true(existsSync(folder));
  child.kill('SIGKILL');
  for (let tries = 0; existsSync(folder) && tries < 100; tries += 1) await sleep(50);
  t.false(existsSync(folder));
});

postfixTest(
  'kill -9 ends all of an instance, and what it had accepted comes after a start',
  async (t) => {
    const [postfix, other] = [await startPostfix(options), await startPostfix(options)];
    t.teardown(() => Promise.all([postfix.stop(), other.stop()]));
    const to = 'ada@alpha.example';
    const [first, second] = [mail(), mail()];
    await postfix.submit({ from: '', to: [to], message: first });
    await postfix.kill();
    t.false(await postfix.isRunning());
    t.true(await other.isRunning(), 'the other instance is none of its children');
    await t.throwsAsync(postfix.submit({ from: '', to: [to], message: mail() }));
    await postfix.kill();
    await postfix.start();
    t.true(await postfix.isRunning());
    await postfix.submit({ from: '', to: [to], message: second });
    // Killed between a mail's file and its place in the queue, it has written two of the first.
    const isThere = async (count: number): Promise<boolean> =>
      new Set((await postfix.waitForMail(to, count)).map(({ message }) => message.toString()))
        .size === 2;
    t.true((await isThere(2)) || (await isThere(3)));
  },
);

test('dots are stuffed and the last line gets its end', (t) => {
  t.is(stuff('.a\r\nb\r\n..\r\nc').toString(), '..a\r\nb\r\n...\r\nc\r\n.');
  t.is(stuff('a\r\n').toString(), 'a\r\n.');
});
