import test, { type ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { DeliveryProgress } from '../../src/mixer/delivery-progress.ts';
import { Deliverer } from '../../src/mixer/deliver.ts';
import { signEnvelope } from '../../src/mixnet/envelope.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { fragmentMail } from '../../src/mixnet/prepare.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { exitFailures } from './exit-failures.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from '../redis/private-redis.ts';

const params = { group: 'X25519', headerLen: 320, bodyLen: 4096 } as const;
const geometry = geometryOf(createSphinx(params, native));
const nowMs = Date.now();

/** An exit that holds one complete mail for bob, and a mail server that does as it is told. */
async function createExit(t: ExecutionContext, serve: () => Promise<void>) {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const gateway = createIdentity(native);
  const domains = ['a.example', 'b.example'];
  const node = madeNode(1, { peerId: gateway.peerId, owner: gateway.peerId, domains });
  const directory = madeDirectory([{ ...node, roles: ['gateway'] }], { params });
  const storageKey = native.random(32);
  const fragments = new FragmentStore(store, { primitives: native, storageKey });
  const data = native.random(100);
  const envelope = {
    mixnet: directory.mixnetId,
    messageId: toHex(native.random(16)),
    exit: gateway.peerId,
    gateway: gateway.peerId,
    from: 'ada@a.example',
    recipients: [{ address: 'bob@b.example' }],
    body: '8BITMIME',
    smtputf8: false,
    bytes: data.length,
    sha256: toHex(native.sha256(data)),
    expiryMs: nowMs + 3_600_000,
  } as const;
  const signed = signEnvelope(native, gateway, envelope);
  const records = new Records(store, { primitives: native, storageKeys: () => storageKey });
  await new Journal(store, { records, fragments }).commit(
    fragmentMail(envelope, signed, data, geometry).map((fragment) => ({
      endpointId: 'e',
      tag: native.random(16),
      outcome: { kind: 'fragment', fragment, ack: null },
    })),
  );
  const [id = ''] = await fragments.complete();
  let given = 0;
  const deliverer = new Deliverer({
    primitives: native,
    me: gateway.peerId,
    fragments,
    progress: new DeliveryProgress(store, { primitives: native, storageKey }),
    directory: {
      current: () => ({ ok: true, directory }),
      last: () => directory,
      refresh: async () => await Promise.resolve(),
    },
    deliver: async ({ recipients }) => {
      given++;
      await serve();
      return { accepted: recipients.map(({ address }) => address), refused: [] };
    },
    failures: exitFailures(store, storageKey, directory),
    acceptsDomain: () => false,
    counters: new Counters(),
    log: silentLog,
    now: () => nowMs,
  });
  const work = async () => await deliverer.work({ id, dueMs: nowMs, failures: 0 });
  return { dataDir, store, fragments, id, work, given: () => given };
}

test('a mail was delivered twice where Redis went away between the 250 and its record', async (t) => {
  const exit = await createExit(t, async () => void (await killServer(exit.dataDir)));
  await t.throwsAsync(exit.work(), { message: /redis-unavailable/ });
  await until(() => exit.store.redis.status === 'ready');
  t.is(await exit.work(), undefined);
  t.is(exit.given(), 1);
  t.true(await exit.fragments.isDelivered(exit.id));
});

test('a mail was delivered twice where its job came back as stalled during delivery', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const exit = await createExit(t, async () => await promise);
  const first = exit.work();
  await until(() => exit.given() === 1);
  const again = await exit.work();
  t.true((again?.againAtMs ?? 0) > nowMs);
  resolve();
  t.is(await first, undefined);
  t.is(await exit.work(), undefined);
  t.is(exit.given(), 1);
});
