/** Storage that all senders share, and one of them who sends more than leaves. */
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { asPanoramixError } from '../../src/errors.ts';
import { Gateway } from '../../src/mixer/gateway.ts';
import { temporaryStore, until } from '../redis/private-redis.ts';
import { gatewayHost } from './gateway-host.ts';

const MEGABYTE = 1_000_000;
const EVE = 'eve@alpha.example';
const deliver = async () => await Promise.resolve({ accepted: [], refused: [] });

async function accept(gateway: Gateway, exit: string, from: string, bytes: number) {
  const data = native.random(bytes);
  const mail = {
    messageId: toHex(native.random(16)),
    exit,
    from,
    recipients: [{ address: 'bob@beta.example', notify: 'NEVER' }],
    body: '7BIT',
    smtputf8: false,
    data,
    sha256: toHex(native.sha256(data)),
  } as const;
  try {
    return await gateway.accept(mail);
  } catch (thrown) {
    return asPanoramixError(thrown).code;
  }
}

/** Sends until it is not taken, as fast as the storage's own measure follows; how often it was, and the end. */
async function fill(gateway: Gateway, exit: string, nextSender: () => string) {
  for (let taken = 0; ; taken++) {
    const result = await accept(gateway, exit, nextSender(), MEGABYTE);
    if (result !== 'stored') return { taken, end: result };
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

test('who sent more than leaves filled the storage, and then nobody’s mail was taken', async (t) => {
  const store = await temporaryStore(t, { maxMemoryBytes: 40 * MEGABYTE });
  const { host, exit } = await gatewayHost(store);
  const gateway = await Gateway.open(host, { deliver });
  const eve = await fill(gateway, exit, () => EVE);
  t.is(eve.end, 'sender-backlog');
  t.true(eve.taken >= 5, `${eve.taken} mails`);
  t.is(store.pressure(), 'open');
  let sender = 0;
  const others = await fill(gateway, exit, () => `s${sender++}@alpha.example`);
  t.is(others.end, 'storage-pressure');
  t.true(others.taken >= eve.taken - 3, `${others.taken} of others, ${eve.taken} of hers`);
  t.log(`taken: ${eve.taken} of one sender, then ${others.taken} of others`);
});

test('what is cut, and what its exit has, is counted as such', async (t) => {
  const store = await temporaryStore(t);
  const { host, exit, records } = await gatewayHost(store);
  let roomBytes: number | null = null;
  const limited = new Proxy(store, {
    get: (target, name) => {
      if (name === 'roomBytes') return () => roomBytes;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const options = { ...host.options, store: limited };
  const gateway = await Gateway.open({ ...host, options }, { deliver });
  await gateway.start();
  t.is(await accept(gateway, exit, EVE, 20_000), 'stored');
  await until(async () => host.counters.of('mail-prepared') === 1);
  roomBytes = 25_000;
  t.is(await accept(gateway, exit, EVE, 10_000), 'sender-backlog');
  t.is(await accept(gateway, exit, 'ada@alpha.example', 10_000), 'stored');
  await until(async () => host.counters.of('mail-prepared') === 2);
  for await (const { recordId } of records.pending(`outbound-${exit}`)) {
    await records.remove(recordId);
    await gateway.settle(recordId);
  }
  t.is(await accept(gateway, exit, EVE, 10_000), 'stored');
  await gateway.stop();
});
