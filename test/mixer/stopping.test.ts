/** A gateway that stops while its mail server is slow, or hangs. */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import type { DeliveryResult } from '../../src/mail/envelope.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallMixnet, type SmallNode } from './small-mixnet.ts';

/** Of the 20 s in which a program stops, the rest is for its store. */
const STOP_MS_MAX = 14_000;
const STORE_MS_MAX = 5_000;
const SLOW_MS = 4_000;

/** A gateway whose mail server has a mail and has not answered. */
async function delivering(
  t: ExecutionContext,
  answers: (result: DeliveryResult) => Promise<DeliveryResult>,
): Promise<{ readonly mixnet: SmallMixnet; readonly gateway: SmallNode }> {
  const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  const answer = gateway.answer;
  gateway.answer = ((mail: Parameters<typeof answer>[0]) => answers(answer(mail))) as never;
  await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10)));
  await until(() => gateway.arrived.length === 1, 60_000);
  gateway.answer = answer;
  return { mixnet, gateway };
}

test('a mail server that takes its time is waited for, and does not get the mail again', async (t) => {
  const { mixnet, gateway } = await delivering(t, async (result) => await sleep(SLOW_MS, result));
  await mixnet.restart(gateway);
  await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10)));
  await until(() => gateway.arrived.length > 1, 60_000);
  await sleep(1_000);
  t.is(gateway.arrived.length, 2);
  t.deepEqual(new Set(gateway.arrived.map(({ messageId }) => messageId)).size, 2);
});

test('a mail server that hangs holds up neither the stop nor the closing of the store', async (t) => {
  const hung = Promise.withResolvers<DeliveryResult>();
  t.teardown(() => hung.resolve({ accepted: [], refused: [] }));
  const { gateway } = await delivering(t, async () => await hung.promise);
  const startMs = performance.now();
  await gateway.mixer.stop();
  const stoppedMs = performance.now();
  t.true(stoppedMs - startMs < STOP_MS_MAX, `${stoppedMs - startMs} ms`);
  await gateway.store.close();
  const closedMs = performance.now() - stoppedMs;
  t.true(closedMs < STORE_MS_MAX, `${closedMs} ms`);
});
