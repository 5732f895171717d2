/**
 * Whole nodes tell senders what became of their mail: through the mixnet, once, and nobody else. One mixnet
 * for all, since mails must grow as old as they may.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { MixedMail } from '../../src/mail/envelope.ts';
import { readBounce } from '../../src/mail/bounce.ts';
import { reportIdOf } from '../../src/mail/report-id.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallMixnet, type SmallNode } from './small-mixnet.ts';

const EXPIRY_MS = 30_000;
// A fragment that is acked is not late; on a busy machine that takes seconds.
const DELAY_MS = 24_000;
/** At the exit nothing but its mail server has to be late. */
const WAITING_MS = 3_000;
/** Its place among the gateways. */
const WAITING = 2;
const PATIENCE_MS = 60_000;
const data = fromUtf8('Subject: plan\r\n\r\nbody\r\n');

interface Cast {
  readonly mixnet: SmallMixnet;
  /** Whose users send. */
  readonly near: SmallNode;
  /** Knows none of its recipients. */
  readonly unknowing: SmallNode;
  /** Its mail server is away. */
  readonly waiting: SmallNode;
  /** Does not run. */
  readonly dead: SmallNode;
  /** Signs for users who are not its own. */
  readonly hostile: SmallNode;
}

test('senders hear of what failed, once, and nobody hears of what another says he sent', async (t) => {
  const cast = await playersOf(t);
  const { mixnet, near, unknowing, waiting, dead, hostile } = cast;
  const send = async (from: SmallNode, to: SmallNode, over: Partial<MixedMail>) => {
    const mail = mixnet.mail(from, to, data, over);
    await from.mixer.accept(mail);
    return mail;
  };
  await send(near, unknowing, bobAt(unknowing, 'FAILURE'));
  await send(near, unknowing, bobAt(unknowing, 'NEVER'));
  await send(near, waiting, bobAt(waiting));
  const lost = await send(near, dead, {
    recipients: [...bobAt(dead).recipients, { address: 'eve@x.test', notify: 'FAILURE' }],
  });
  // Its own filter would refuse these (550 sender-foreign): here the gateway itself is hostile.
  const from = `victim@${near.entry.domains[0]}`;
  await send(hostile, waiting, { ...bobAt(waiting), from });
  const outside = { recipients: [{ address: 'bob@elsewhere.example' }] };
  await send(hostile, waiting, outside);
  await send(hostile, waiting, { ...outside, from: '' });

  await until(() => reportsAt(near).length === 5, PATIENCE_MS);
  const said = reportsAt(near).flatMap((report) =>
    (readBounce(fromUtf8(report)) ?? []).map(({ final, action, status }) => {
      return `${final} ${action} ${status}`;
    }),
  );
  t.deepEqual(
    said.toSorted(),
    [
      `bob@${unknowing.entry.domains[0]} failed 5.1.1`,
      // The exit has it, and says itself that it waits; the entry cannot know.
      `bob@${waiting.entry.domains[0]} delayed 4.4.1`,
      `bob@${waiting.entry.domains[0]} failed 5.4.7`,
      `bob@${dead.entry.domains[0]} delayed 4.4.7`,
      `bob@${dead.entry.domains[0]} failed 5.4.7`,
      'eve@x.test failed 5.4.7',
    ].toSorted(),
  );
  await checkHostile(t, cast);
  await checkNoSecond(t, cast, lost);
  await until(async () => (await near.store.redis.keys('*:notice*')).length === 0, PATIENCE_MS);
});

async function playersOf(t: ExecutionContext): Promise<Cast> {
  const mixnet = await smallMixnet(t, {
    mixes: 1,
    gateways: 5,
    traffic: { expiryMs: EXPIRY_MS, ticksPerSecond: 10 },
    reporting: (gateway) => ({ delayWarningMs: gateway === WAITING ? WAITING_MS : DELAY_MS }),
  });
  const [near, unknowing, waiting, dead, hostile] = mixnet.gateways as readonly [
    SmallNode,
    SmallNode,
    SmallNode,
    SmallNode,
    SmallNode,
  ];
  answerAll(unknowing, true);
  answerAll(waiting, false);
  await dead.mixer.stop();
  return { mixnet, near, unknowing, waiting, dead, hostile };
}

/** Nothing is delivered, the user hears nothing; what the gateway sent in its own name is told to it. */
async function checkHostile(t: ExecutionContext, { near, waiting, hostile }: Cast): Promise<void> {
  await until(() => waiting.mixer.counters.of('report-sender-unproved') === 1, PATIENCE_MS);
  await until(() => waiting.mixer.counters.of('mail-expired') === 4, PATIENCE_MS);
  await until(() => reportsAt(hostile).length === 1, PATIENCE_MS);
  t.regex(reportsAt(hostile)[0] ?? '', /Final-Recipient: rfc822; bob@elsewhere\.example/);
  const given = waiting.arrived.map(({ from }) => from);
  t.deepEqual([...new Set(given)], [`alice@${near.entry.domains[0]}`]);
  const addressed = waiting.arrived.flatMap(({ recipients }) => recipients);
  t.false(addressed.some(({ address }) => address.endsWith('elsewhere.example')));
}

/** The entry has told that a mail is lost: that its exit tells the same later adds nothing. */
async function checkNoSecond(t: ExecutionContext, cast: Cast, lost: MixedMail): Promise<void> {
  const { mixnet, near, unknowing } = cast;
  const again = {
    messageId: reportIdOf(native, 'failed', lost.messageId),
    from: '',
    recipients: [{ address: lost.from, notify: 'NEVER' }],
  };
  await unknowing.mixer.accept(mixnet.mail(unknowing, near, data, again));
  await until(() => near.mixer.counters.of('report-repeated') === 1, PATIENCE_MS);
  await sleep(1_000);
  t.is(reportsAt(near).length, 5);
}

function bobAt(node: SmallNode, notify?: string): Pick<MixedMail, 'recipients'> {
  const address = `bob@${node.entry.domains[0]}`;
  return { recipients: [{ address, ...(notify !== undefined && { notify }) }] };
}

/** The reports that a gateway's mail server got. */
function reportsAt(node: SmallNode): readonly string[] {
  return node.arrived.filter(({ from }) => from === '').map((mail) => toUtf8(mail.data));
}

/** Has a mail server refuse all mail but reports. */
function answerAll(node: SmallNode, permanent: boolean): void {
  node.answer = ({ from, recipients }) => {
    const all = recipients.map(({ address }) => address);
    if (from === '') return { accepted: all, refused: [] };
    const reply = '550 5.1.1 no such user';
    return { accepted: [], refused: all.map((address) => ({ address, reply, permanent })) };
  };
}
