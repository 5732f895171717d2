/** Limits as users of a real Postfix meet them: one of them sends too much, and his mail alone waits in its queue. */
import test from 'ava';
import { SendingLimiter } from '../../src/mail/limits.ts';
import { PanoramixError } from '../../src/errors.ts';
import { dialogue, transaction } from '../postfix/dialogue.ts';
import { mail, optIn } from '../postfix/messages.ts';
import { choosePorts } from '../postfix/ports.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { startEntryRig, type EntryRig } from './entry-rig.ts';

const SHARE = 10;
const LATER_MS = 40_000;
const limits = { mailsPerHour: SHARE, bytesPerHour: 1_000_000, recipientsPerHour: 1_000 };
const clientLimits = { mailsPerHour: 1_000, bytesPerHour: 1e9, recipientsPerHour: 100_000 };
let postfix: PrivatePostfix;
let rig: EntryRig;

beforePostfixTests(async () => {
  const ports = await choosePorts();
  postfix = await startPostfix({
    name: 'alpha',
    domains: { 'alpha.example': ['ada', 'eve', 'full'] },
    ports,
    routes: { 'in.example': ports.outside },
  });
  const stored = new Set<string>();
  rig = await startEntryRig({
    entry: {
      limiter: new SendingLimiter({ sender: limits, client: clientLimits }),
      accept: async (taken) => {
        if (taken.from.startsWith('full@')) throw new PanoramixError('sender-backlog', 'a test');
        const known = stored.has(taken.messageId);
        stored.add(taken.messageId);
        if (!known) rig.mixed.push(taken);
        return await Promise.resolve(known ? 'repeat' : 'stored');
      },
    },
    listen: { lmtp: { host: '127.0.0.1', port: ports.lmtp }, smtp: null },
  });
});

test.after.always(async () => {
  await postfix?.stop();
  await rig?.[Symbol.asyncDispose]();
});

async function submit(from: string): Promise<void> {
  const message = `${mail([optIn], from)}.\r\n`;
  const steps = transaction(`${from}@alpha.example`, ['bob@in.example'], message);
  const answers = await dialogue(postfix.ports.submission, steps);
  if (!answers.at(-2)?.startsWith('250 ')) throw new Error(answers.join('\n'));
}

postfixTest(
  'who sends five times his share has the rest wait, with the reason, and nobody else waits',
  async (t) => {
    for (let i = 0; i < 5 * SHARE; i++) {
      await submit('eve');
      if (i % 5 === 4) await submit('ada');
    }
    const queue = await postfix.waitForQueue(
      (held) =>
        held.length === 4 * SHARE && held.every(({ queue_name: name }) => name === 'deferred'),
      LATER_MS,
    );
    const froms = rig.mixed.map(({ from }) => from);
    t.is(froms.filter((from) => from === 'ada@alpha.example').length, SHARE);
    t.is(froms.filter((from) => from === 'eve@alpha.example').length, SHARE);
    for (const { sender, recipients } of queue) {
      t.is(sender, 'eve@alpha.example');
      t.regex(
        recipients[0]?.delay_reason ?? '',
        /451 4\.7\.1 Too much mixed mail from this sender/,
      );
    }
  },
);

postfixTest('who has too much waiting here hears that, too', async (t) => {
  await submit('full');
  const [waiting] = await postfix
    .waitForQueue(
      (held) =>
        held.some(
          ({ sender, queue_name: name }) => sender === 'full@alpha.example' && name === 'deferred',
        ),
      LATER_MS,
    )
    .then((held) => held.filter(({ sender }) => sender === 'full@alpha.example'));
  t.regex(waiting?.recipients[0]?.delay_reason ?? '', /452 4\.3\.1 Too much mail of this sender/);
});
