/** Large mails of one sender and small ones of another to one exit, across a small mixnet of real parts. */
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallNode } from './small-mixnet.ts';

const LARGE = 2;
const SMALL = 3;
/** Together some 50 packets; half of 20 ticks a second go to that exit. */
const LARGE_BYTES = 75_000;

test('large mails at once are whole at their exit, and small ones of somebody else are there before', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
  const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
  const sent = new Map<string, string>();
  const submit = async (sender: string, bytes: number): Promise<void> => {
    const address = `${sender}@${from.entry.domains[0]}`;
    const mail = mixnet.mail(from, to, native.random(bytes), { from: address });
    sent.set(mail.messageId, mail.sha256);
    t.is(await from.mixer.accept(mail), 'stored');
  };
  for (let i = 0; i < LARGE; i++) await submit('eve', LARGE_BYTES);
  await until(() => from.mixer.counters.of('sent-fragment') > 3, 30_000);
  for (let i = 0; i < SMALL; i++) await submit('ada', 1_000);
  await until(() => to.arrived.length === LARGE + SMALL, 90_000);
  for (const { messageId, data } of to.arrived) {
    t.is(sent.get(messageId), toHex(native.sha256(data)));
  }
  t.is(new Set(to.arrived.map(({ messageId }) => messageId)).size, LARGE + SMALL);
  const senders = to.arrived.map((mail) => mail.from.split('@')[0]);
  t.deepEqual(new Set(senders.slice(0, SMALL)), new Set(['ada']), senders.join(' '));
});
