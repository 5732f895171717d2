/** Real load at the entry: some send far more than their share over many connections, and one does as he always did. */
import test, { type ExecutionContext } from 'ava';
import { SendingLimiter, type SendingLimits } from '../../src/mail/limits.ts';
import { Dialogue } from './dialogue.ts';
import { startEntryRig, type EntryRig } from './entry-rig.ts';

const SECOND_MS = 1_000;
const HOGS = 20;
const MAILS_OF_ADA = 40;
const limits: SendingLimits = {
  sender: { mailsPerHour: 50, bytesPerHour: 1_000_000_000, recipientsPerHour: 1_000 },
  client: { mailsPerHour: 400, bytesPerHour: 1_000_000_000, recipientsPerHour: 10_000 },
};

interface Load {
  readonly taken: number;
  /** Replies other than 250, by their codes. */
  readonly refused: ReadonlyMap<string, number>;
  readonly timesMs: readonly number[];
}

/** Sends mails over one connection until told otherwise, each with a queue id of its own. */
async function send(
  rig: EntryRig,
  mail: { readonly from: string; readonly client: string; readonly bytes: number },
  isOver: (sent: number) => boolean,
): Promise<Load> {
  const dialogue = await Dialogue.open(rig.listening.lmtp);
  await dialogue.say('LHLO postfix.example');
  const body = `X-PANORAMIX-Mixable: yes\r\n\r\n${'x'.repeat(mail.bytes)}\r\n`;
  const refused = new Map<string, number>();
  const timesMs: number[] = [];
  let taken = 0;
  for (let sent = 0; !isOver(sent); sent++) {
    const startMs = performance.now();
    await dialogue.sayAll(
      `XFORWARD ADDR=${mail.client} IDENT=${mail.from.replaceAll(/\W/g, '-')}.${sent}`,
      `MAIL FROM:<${mail.from}>`,
      'RCPT TO:<bob@in.example>',
    );
    const code = (await dialogue.data(body)).slice(0, 9);
    timesMs.push(performance.now() - startMs);
    if (code.startsWith('250')) taken++;
    else refused.set(code, (refused.get(code) ?? 0) + 1);
  }
  dialogue.close();
  return { taken, refused, timesMs };
}

async function sendAsAda(t: ExecutionContext, rig: EntryRig): Promise<number> {
  const mail = { from: 'ada@alpha.example', client: '192.0.2.200', bytes: 2_000 };
  const ada = await send(rig, mail, (sent) => sent === MAILS_OF_ADA);
  t.is(ada.taken, MAILS_OF_ADA);
  return Math.max(...ada.timesMs);
}

test('twenty who send without end get their shares and then 451, and another gets what he always got', async (t) => {
  await using rig = await startEntryRig({ entry: { limiter: new SendingLimiter(limits) } });
  let isOver = false;
  const hogs = Array.from({ length: HOGS }, async (_, i) => {
    // Four clients, five of them on each.
    const mail = { from: `eve${i}@alpha.example`, client: `192.0.2.${i % 4}`, bytes: 50_000 };
    return await send(rig, mail, () => isOver);
  });
  const longestMs = await sendAsAda(t, rig);
  isOver = true;
  const loads = await Promise.all(hogs);
  t.true(longestMs < 5 * SECOND_MS, `${longestMs} ms`);
  for (const { taken, refused } of loads) {
    t.true(taken <= limits.sender.mailsPerHour + 1, `${taken} taken`);
    t.true([...refused.keys()].every((code) => code === '451 4.7.1'));
  }
  const refused = loads.flatMap((load) => [...load.refused.values()]);
  t.true(refused.reduce((sum, count) => sum + count, 0) > 0, 'there was too much');
  t.log(`the longest answer to Ada came after ${longestMs.toFixed()} ms`);
});

test('of one client, all senders together get no more than the client’s share', async (t) => {
  await using rig = await startEntryRig({
    entry: {
      limiter: new SendingLimiter({ ...limits, client: { ...limits.client, mailsPerHour: 60 } }),
    },
  });
  const hogs = Array.from({ length: 10 }, async (_, i) => {
    const mail = { from: `eve${i}@alpha.example`, client: '192.0.2.1', bytes: 500 };
    return await send(rig, mail, (sent) => sent === 20);
  });
  await sendAsAda(t, rig);
  const taken = (await Promise.all(hogs)).reduce((sum, load) => sum + load.taken, 0);
  // An hour gives 60 more; a test of seconds none or one.
  t.true(taken >= 60 && taken <= 61, `${taken} of 200`);
});

test('twenty large messages at once hold all the memory there is for them, and a small one goes through', async (t) => {
  const release = Promise.withResolvers<void>();
  await using rig = await startEntryRig({
    listen: { messageBytesMax: 10_000_000, bufferedBytesMax: 60_000_000 },
    entry: {
      limiter: null,
      accept: async ({ data }) => {
        if (data.length > 1_000_000) await release.promise;
        return 'stored';
      },
    },
  });
  const eves = Array.from({ length: HOGS }, async (_, i) => {
    const mail = { from: `eve${i}@alpha.example`, client: '192.0.2.1', bytes: 9_000_000 };
    return await send(rig, mail, (sent) => sent === 1);
  });
  const refused = Promise.race(eves);
  t.is((await refused).refused.get('452 4.3.1'), 1, 'there is no room for all of them');
  await sendAsAda(t, rig);
  release.resolve();
  const taken = (await Promise.all(eves)).reduce((sum, load) => sum + load.taken, 0);
  t.true(taken >= 3 && taken <= 6, `${taken} of them held the memory`);
});
