import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallNode } from './small-mixnet.ts';

/** The hash and id of each mail, sorted: what must be the same at both ends. */
function list(mails: readonly { messageId: string; data: Uint8Array }[]): readonly string[] {
  return mails
    .map(({ messageId, data }) => `${messageId} ${toHex(native.sha256(data))}`)
    .toSorted();
}

test('twenty mails cross three mixes byte for byte', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
  const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
  const sizes = [0, 1, 3000, 4000, 9000];
  const mails = Array.from({ length: 20 }, (_, i) =>
    mixnet.mail(from, to, native.random(sizes[i % sizes.length] as number)),
  );
  for (const mail of mails) t.is(await from.mixer.accept(mail), 'stored');
  t.is(await from.mixer.accept(mails[0] as (typeof mails)[number]), 'repeat');
  await until(() => to.arrived.length >= mails.length, 60_000);
  t.deepEqual(list(to.arrived), list(mails));
  t.is(to.mixer.counters.of('delivered'), 20);
  t.true(from.mixer.counters.of('sent-cover') > 0);
  t.deepEqual(to.arrived[0]?.recipients, mails[0]?.recipients);
});
