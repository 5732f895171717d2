/** What Postfix does while nobody listens on the filter's port, and after somebody does again. */
import { dialogue, transaction } from './dialogue.ts';
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

    // At once, for Postfix gives a destination up after as many failures as it tries side by side.
    const burst = transaction(submission.from, submission.to, `${mail([optIn], 'waits')}.\r\n`);
    await Promise.all(Array.from({ length: 40 }, () => dialogue(postfix.ports.submission, burst)));
    const ordinary = mail([], 'does not wait');
    await postfix.submit({ ...submission, message: ordinary });
    const [arrived] = await postfix.waitForMail('ada@alpha.example');
    t.is(arrived?.message.toString(), ordinary);
    const [waiting] = await postfix.waitForQueue(
      (queue) => queue.filter(({ queue_name: name }) => name === 'deferred').length === 40,
    );
    t.regex(waiting?.recipients[0]?.delay_reason ?? '', /Connection refused/);

    const filter = await startRecordingFilter(postfix.ports.lmtp);
    t.teardown(() => filter.stop());
    await postfix.submit({ ...submission, message: mail([optIn], 'comes after') });
    const [first] = await filter.waitForMails(1);
    t.true(
      first?.message.includes('comes after'),
      'forty failures suspend nothing that comes after',
    );

    await postfix.flush();
    t.is((await filter.waitForMails(41)).length, 41);
    t.deepEqual(await postfix.waitForQueue((queue) => queue.length === 0), []);
    t.is((await postfix.mailboxOf('ada@alpha.example')).length, 1);
  },
);
