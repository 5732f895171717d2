/** What Postfix does while nobody listens on the filter's port, and after somebody does again. */
import { mail, optIn } from './messages.ts';
import { postfixTest } from './postfix-test.ts';
import { startPostfix } from './private-postfix.ts';
import { startRecordingFilter } from './recording-filter.ts';

postfixTest(
  'while the filter is down ordinary mail flows and opted-in mail waits for it',
  async (t) => {
    const postfix = await startPostfix({ name: 'alpha', domains: { 'alpha.example': ['ada'] } });
    t.teardown(() => postfix.stop());
    const submission = { from: 'ada@alpha.example', to: ['ada@alpha.example'] };

    for (let index = 0; index < 5; index += 1) {
      await postfix.submit({ ...submission, message: mail([optIn], `waits ${index}`) });
    }
    const ordinary = mail([], 'does not wait');
    await postfix.submit({ ...submission, message: ordinary });
    const [arrived] = await postfix.waitForMail('ada@alpha.example');
    t.is(arrived?.message.toString(), ordinary);
    const waiting = await postfix.waitForQueue((queue) =>
      queue.every(({ queue_name: name }) => name === 'deferred'),
    );
    t.is(waiting.length, 5);
    t.regex(waiting[0]?.recipients[0]?.delay_reason ?? '', /Connection refused/);

    const filter = await startRecordingFilter(postfix.ports.lmtp);
    t.teardown(() => filter.stop());
    await postfix.submit({ ...submission, message: mail([optIn], 'comes after') });
    const [first] = await filter.waitForMails(1);
    t.true(
      first?.message.includes('comes after'),
      'five failures suspend nothing that comes after',
    );

    await postfix.flush();
    t.is((await filter.waitForMails(6)).length, 6);
    t.deepEqual(await postfix.waitForQueue((queue) => queue.length === 0), []);
    t.is((await postfix.mailboxOf('ada@alpha.example')).length, 1);
  },
);
