/** What a small mixnet of real parts does with the answers to its packets. */
import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { readLoopReport } from '../../src/redis/loop-report.ts';
import { Records } from '../../src/redis/records.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallNode } from './small-mixnet.ts';

/** Fragments that a gateway still keeps. */
async function kept({ store, endpoint }: SmallNode, exit: SmallNode): Promise<number> {
  const storageKeys = () => endpoint.storageKey;
  const records = new Records(store, { primitives: native, storageKeys });
  return await records.count(`outbound-${exit.identity.peerId}`);
}

test.serial(
  'an entry keeps a fragment until its exit has acked it, and then nothing of it',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
    const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
    for (let i = 0; i < 5; i++) await from.mixer.accept(mixnet.mail(from, to, native.random(6000)));
    await until(async () => (await kept(from, to)) === 10, 5_000);
    await until(() => to.arrived.length === 5, 60_000);
    await until(async () => (await kept(from, to)) === 0, 60_000);
    // What led to a fragment goes after it.
    const left = async (pattern: string): Promise<number> =>
      (await from.store.redis.keys(pattern)).length;
    await until(async () => (await left('*:sends:*')) === 0, 10_000);
    await until(async () => (await left('*:outbound-*:j*')) === 0, 10_000);
    t.is(from.mixer.counters.of('reply-unknown'), 0);
  },
);

test.serial(
  'what is lost on the way, unknown to its sender, is sent again and arrives once',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
    const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
    // A controller that has said 201 loses all that the first mix has not read yet.
    const [mix] = mixnet.mixes as readonly [SmallNode];
    await mix.mixer.stop();
    const { endpointId } = mix.endpoint;
    const reader = mix.controller.client(mix.identity);
    const inbox = async () => await reader.listMessages({ endpointId, box: 'INBOX' });
    for (let i = 0; i < 10; i++)
      await from.mixer.accept(mixnet.mail(from, to, native.random(6000)));
    await until(() => from.mixer.counters.of('sent-fragment') === 20, 20_000);
    await until(async () => (await inbox()).length >= 20, 20_000);
    const lost = await inbox();
    const upTo = Math.max(...lost.map(({ id }) => id));
    await reader.releaseMessages({ endpointId, box: 'INBOX', upTo });
    await mixnet.restart(mix);
    await until(() => to.arrived.length === 10, 60_000);
    t.true(from.mixer.counters.of('sent-fragment') > 20);
    await until(async () => (await kept(from, to)) === 0, 60_000);
    t.is(to.arrived.length, 10);
  },
);

test.serial('the loops of every mix come back, and its report says through whom', async (t) => {
  const mixnet = await smallMixnet(t, {
    mixes: 4,
    gateways: 1,
    traffic: { loopsPerSecond: 10, ticksPerSecond: 2 },
  });
  for (const { mixer } of mixnet.mixes) {
    await until(() => mixer.counters.of('reply') > 10, 30_000);
    t.is(mixer.counters.of('reply-unknown'), 0);
    t.is(mixer.counters.of('reply-malformed'), 0);
    t.is(mixer.counters.of('sent-cover'), 0);
  }
  const [mix, ...others] = mixnet.mixes as readonly [SmallNode, ...SmallNode[]];
  await until(async () => (await readLoopReport(mix.store)) !== null, 15_000);
  const stored = await readLoopReport(mix.store);
  t.true((stored?.verdict.returned ?? 0) > 0);
  t.deepEqual(
    Object.keys(stored?.report.nodes ?? {}).toSorted(),
    others.map(({ identity }) => identity.peerId).toSorted(),
  );
});

test.serial(
  'a mix that hears nothing of its own any more holds packets of others, and says so',
  async (t) => {
    const mixnet = await smallMixnet(t, {
      mixes: 4,
      gateways: 1,
      traffic: { loopsPerSecond: 5, ticksPerSecond: 8, mixesPerRoute: 1 },
    });
    const [mix] = mixnet.mixes as readonly [SmallNode];
    await until(() => mix.mixer.counters.of('reply') > 10, 30_000);
    t.is(mix.mixer.counters.of('held'), 0);
    // Its controller hands out what is not its own; the mix cannot tell, but for what does not come.
    const own = new Set<string>();
    const { store } = mix;
    const gone = async (): Promise<void> => {
      for (const key of await store.redis.keys('*:sent:*')) {
        if (own.has(key)) continue;
        own.add(key);
        await store.redis.del(key);
      }
    };
    const timer = setInterval(() => void gone().catch(() => undefined), 20);
    t.teardown(() => clearInterval(timer));
    await until(() => mix.mixer.counters.of('held') > 3, 40_000);
    clearInterval(timer);
    t.true(mix.said.some((line) => 'event' in line && line.event === 'loop-alarm'));
    const before = mix.mixer.counters.of('loop-alarm');
    t.is(before, 1);
    await until(
      () => mix.said.some((line) => 'event' in line && line.event === 'loop-alarm-over'),
      60_000,
    );
  },
);

/** Whether the last word of a node's alarm is that it is on. */
function isAlarmed({ said }: SmallNode): boolean {
  const events = said.flatMap((line) => ('event' in line ? [line.event] : []));
  return (
    events.findLast((event) => event === 'loop-alarm' || event === 'loop-alarm-over') ===
    'loop-alarm'
  );
}

test.serial('nodes that were all alarmed at once held each other’s packets for ever', async (t) => {
  const mixnet = await smallMixnet(t, {
    mixes: 4,
    gateways: 2,
    traffic: { loopsPerSecond: 4, ticksPerSecond: 4, delayMeanMs: 300 },
  });
  const nodes = [...mixnet.mixes, ...mixnet.gateways];
  for (const { mixer } of nodes) await until(() => mixer.counters.of('reply') > 10, 30_000);
  const controllers = nodes.map(({ controller }) => controller.store as { pressure: () => string });
  for (const controller of controllers) controller.pressure = () => 'settle-only';
  await until(() => nodes.every(isAlarmed), 60_000);
  for (const controller of controllers) controller.pressure = () => 'open';
  // Each hold is 3 s on average at 3 to 7 hops, and 2 s late is lost.
  let alarmedMs = Date.now();
  await until(() => {
    if (nodes.some(isAlarmed)) alarmedMs = Date.now();
    return Date.now() - alarmedMs > 6_000;
  }, 90_000);
  t.true(nodes.some(({ mixer }) => mixer.counters.of('held') > 0));
});

test.serial('a mix says nothing of any packet, and a gateway only of its own mail', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
  const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
  const mail = mixnet.mail(from, to, native.random(6000));
  await from.mixer.accept(mail);
  await until(() => to.arrived.length === 1, 30_000);
  await until(() => mixnet.mixes.every(({ mixer }) => mixer.counters.of('forward') > 100), 30_000);
  for (const { said } of mixnet.mixes) t.deepEqual(said, []);
  for (const { said } of mixnet.gateways) {
    for (const line of said) {
      const ids = JSON.stringify(line).match(/[0-9a-f]{32}/g) ?? [];
      t.true(
        ids.every((id) => id === mail.messageId),
        JSON.stringify(line),
      );
    }
    t.true(said.length < 5, JSON.stringify(said));
  }
});
