/** One message in is one message out, or none: hostile bodies straight at each door, however they are cut. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { silentLog } from '../../src/log.ts';
import type { ReceivedMail } from '../../src/mail/envelope.ts';
import { listen, type Listening } from '../../filters/listen.ts';
import { Dialogue } from './dialogue.ts';
import { startEntryRig } from './entry-rig.ts';
import { canonical, HOSTILE_BODIES, SMUGGLED, unstuffed } from './hostile-bodies.ts';

const HEAD = 'Subject: outer\r\n\r\n';
const ENVELOPE = ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@in.example>'];
const DOORS = ['lmtp', 'smtp', 'returns'] as const;

interface Doors extends AsyncDisposable {
  readonly listening: Listening;
  readonly mails: ReceivedMail[];
}

async function open(): Promise<Doors> {
  const mails: ReceivedMail[] = [];
  const receive = async (mail: ReceivedMail) => {
    mails.push(mail);
    return await Promise.resolve(mail.recipients.map(() => ({ code: 250, text: '2.6.0 taken' })));
  };
  const any = { host: '127.0.0.1', port: 0 };
  const listening = await listen({
    lmtp: any,
    smtp: any,
    returns: { address: any, receive },
    hostname: 'filter.example',
    messageBytesMax: 1_000_000,
    recipientsMax: 5,
    stopMsMax: 2_000,
    log: silentLog,
    receive,
  });
  return { listening, mails, [Symbol.asyncDispose]: () => listening.stop() };
}

async function greeted(doors: Doors, door: (typeof DOORS)[number]): Promise<Dialogue> {
  const dialogue = await Dialogue.open(doors.listening[door]);
  dialogue.socket.setNoDelay(true);
  await dialogue.say(door === 'smtp' ? 'EHLO c' : 'LHLO c');
  return dialogue;
}

/** Writes the pieces as segments of their own, as far as the kernel lets us. */
async function writeCut(dialogue: Dialogue, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut <= from) continue;
    dialogue.write(bytes.subarray(from, cut));
    from = cut;
    // Twice: once for the kernel to have it, once for the server to have read it.
    for (let i = 0; i < 2; i++) await nextTurn();
  }
}

/** Above it, cuts are made around what looks like an end and at the true one only. */
const CUT_EVERYWHERE_BYTES_MAX = 1_000;

/** Where a message is cut in two: between each two bytes. */
function cutsOf(wire: string): readonly number[] {
  const all = Array.from({ length: wire.length - 1 }, (_, i) => i + 1);
  if (wire.length <= CUT_EVERYWHERE_BYTES_MAX) return all;
  return all.filter((cut) => cut % 9_973 === 0 || cut > wire.length - 6);
}

async function sendOne(
  t: ExecutionContext,
  { mails }: Doors,
  dialogue: Dialogue,
  wire: string,
  cuts: readonly number[],
): Promise<void> {
  await dialogue.sayAll(...ENVELOPE, 'DATA');
  const before = mails.length;
  await writeCut(dialogue, Buffer.from(wire, 'latin1'), cuts);
  t.is(await dialogue.reply(), '250 2.6.0 taken');
  t.is(await dialogue.say('NOOP'), '250 OK', 'nothing of it was read as a command');
  t.is(mails.length - before, 1);
  const mail = mails.at(-1) as ReceivedMail;
  t.deepEqual(
    [mail.sender, mail.recipients.map(({ address }) => address)],
    ['a@b.example', ['c@in.example']],
  );
  const expected = unstuffed(wire.slice(0, -'.\r\n'.length));
  const found = Buffer.from(mail.data).toString('latin1');
  t.true(found === expected, `cut at ${cuts.join(',')}: ${JSON.stringify(found.slice(0, 300))}`);
}

for (const { what, body } of HOSTILE_BODIES) {
  test(`one message, whichever door, however it is cut: ${what}`, async (t) => {
    await using doors = await open();
    const wire = `${HEAD}${body}\r\n.\r\n`;
    const dialogues = [];
    for (const door of DOORS) dialogues.push(await greeted(doors, door));
    for (const dialogue of dialogues) {
      await sendOne(t, doors, dialogue, wire, []);
      if (wire.length > CUT_EVERYWHERE_BYTES_MAX) continue;
      await sendOne(t, doors, dialogue, wire, cutsOf(wire));
    }
    for (const [i, cut] of cutsOf(wire).entries()) {
      await sendOne(t, doors, dialogues[i % DOORS.length] as Dialogue, wire, [cut]);
    }
    for (const dialogue of dialogues) dialogue.close();
  });

  test(`what is mixed, and what passes, is one message, canonical once: ${what}`, async (t) => {
    await using rig = await startEntryRig();
    const dialogue = await Dialogue.open(rig.listening.lmtp);
    await dialogue.say('LHLO c');
    const wire = `X-PANORAMIX-Mixable: yes\r\n${HEAD}${body}\r\n`;
    const envelope = ['c@in.example', 'd@outside.example'].map((to) => `RCPT TO:<${to}>`);
    await dialogue.sayAll('MAIL FROM:<a@b.example>', ...envelope);
    const replies = [await dialogue.data(Buffer.from(wire, 'latin1')), await dialogue.reply()];
    t.regex(replies.join('\n'), /^250 2\.6\.0 queued in mix .*\n250 2\.6\.0 passed: /);
    t.is(await dialogue.say('NOOP'), '250 OK');
    const expected = canonical(HEAD + unstuffed(`\r\n${body}\r\n`).slice(2));
    t.is(rig.mixed.length, 1);
    t.true(Buffer.from(rig.mixed[0]?.data ?? []).toString('latin1') === expected);
    t.is(rig.next.mails.length, 1);
    t.true(rig.next.mails[0]?.data.toString('latin1') === expected);
    t.is(rig.next.lines.filter((line) => line.startsWith('MAIL')).length, 1);
    dialogue.close();
  });
}

test('a whole session comes out the same wherever its segments are cut', async (t) => {
  await using doors = await open();
  for (const door of DOORS) {
    const hello = door === 'smtp' ? 'EHLO c' : 'LHLO c';
    const data = `${HEAD}..\r\n.x\n.\r\n${SMUGGLED}\r\n.\r\n`;
    const one = `${[...ENVELOPE, 'DATA'].join('\r\n')}\r\n${data}`;
    const session = `${hello}\r\n${one}RSET\r\n${one}QUIT\r\n`;
    for (let cut = 1; cut < session.length; cut++) {
      const before = doors.mails.length;
      const dialogue = await Dialogue.open(doors.listening[door]);
      dialogue.socket.setNoDelay(true);
      await writeCut(dialogue, Buffer.from(session, 'latin1'), [cut]);
      const codes: string[] = [];
      for (let reply = await dialogue.reply(); reply !== ''; reply = await dialogue.reply()) {
        codes.push(reply.slice(0, 3));
      }
      const each = ['250', '250', '354', '250'];
      t.deepEqual(codes, ['250', ...each, '250', ...each, '221'], `cut at ${cut}`);
      t.is(doors.mails.length - before, 2);
    }
  }
  const expected = unstuffed(`${HEAD}..\r\n.x\n.\r\n${SMUGGLED}\r\n`);
  for (const { data } of doors.mails) t.true(Buffer.from(data).toString('latin1') === expected);
});
