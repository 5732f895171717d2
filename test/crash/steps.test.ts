/**
 * Each step of Redis and HTTP, done by the product's own code with a real server behind a proxy, shows as itself and
 * as nothing else. A step that does not show here would never be hit; one that shows as another would hit the wrong one.
 */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { DeliveryProgress } from '../../src/mixer/delivery-progress.ts';
import { announceRunning } from '../../src/redis/program-report.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal, type CommitEntry, type Outcome } from '../../src/redis/journal.ts';
import { requireStorageKey } from '../../src/redis/key-check.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { NoticeStore } from '../../src/redis/notice-store.ts';
import { PassedStore } from '../../src/redis/passed-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';
import { SentStore, type SentPacket } from '../../src/redis/sent-store.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { openTaker } from '../../src/redis/taker.ts';
import {
  changeStatus,
  endpointOf,
  openEndpoint,
  privateController,
  serial,
} from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { openProxiedStore } from './proxied-store.ts';
import { openProxy, type Watcher } from './proxies.ts';
import type { Link } from './step.ts';
import { STEPS } from './steps.ts';

const STORAGE_KEY = new Uint8Array(randomBytes(32));
const HOUR_MS = 3_600_000;
const PART = 600 * 1024;

test('no two steps have one name, and each has a moment', (t) => {
  t.is(new Set(STEPS.map(({ name }) => name)).size, STEPS.length);
  t.true(STEPS.every(({ moments }) => moments.length > 0));
  t.true(STEPS.length > 50);
});

test('what a gateway asks of its Redis shows as the step that it is', async (t) => {
  const { store, watch } = await openProxiedStore(t, 'alpha');
  const shows = showing(t, watch, 'gateway');
  await shows([], async () => await Promise.resolve());
  await showMailIn(store, shows);
  await showPackets(store, shows);
  await showMailOut(store, shows);
  await showReports(store, shows);
  await showStart(store, shows);
  const missing = STEPS.filter(
    ({ protocol, role, name }) =>
      protocol === 'redis' && (role === 'gateway' || role === 'node') && !watch.seen.has(name),
  );
  t.deepEqual(
    missing.map(({ name }) => name),
    [],
  );
  t.deepEqual(watch.strange, []);
});

test('what a node asks of a controller, and that of its Redis, show as the steps that they are', async (t) => {
  const { store, watch } = await openProxiedStore(t, 'mix-1.controller');
  const controller = await privateController(t, store);
  const identity = createIdentity(native);
  controller.nodes.add(identity.peerId);
  const client = await clientBehindProxy(t, watch, controller.url, identity);
  const shows = showing(t, watch, 'mix');
  const endpointId = 'one';
  const data = { ...endpointOf(identity.peerId, endpointId), senders: 'nodes' } as const;
  // Who it is shows in the first INBOX that it lists.
  await client.registerPeer('mix-1');
  await openEndpoint(client, data);
  const inbox = { endpointId, box: 'INBOX' } as const;
  await shows(['mix: its INBOX is listed'], async () => void (await client.listMessages(inbox)));
  const message = { endpointId, recipient: identity.peerId, text: 'text', serial: serial() };
  await shows(
    ['mix: a packet is posted', 'controller: a message is stored'],
    async () => await client.postMessage(message),
  );
  await shows(
    ['mix: messages are released', 'controller: released messages are removed'],
    async () => {
      await client.releaseMessages({ ...inbox, upTo: 1 });
    },
  );
  await shows(
    ['mix: it asks for its endpoint'],
    async () => void (await client.getEndpoint(endpointId)),
  );
  const decided = ['controller: a contribution is recorded'];
  await shows(
    [...decided, 'node: an endpoint is opened', 'controller: an endpoint is recorded'],
    async () => void (await openEndpoint(client, { ...data, endpoint_id: 'two' })),
  );
  const two = await client.getEndpoint('two');
  await shows(
    [...decided, 'node: an endpoint changes its state', 'controller: an endpoint is recorded'],
    async () => {
      if (two !== null) await changeStatus(client, two, { endpoint_id: 'two', status: 'FULL' });
    },
  );
  for (const [name, part] of [
    ['node: it says where it is', { entry: { peer_id: 'x' } }],
    ['node: it says or signs a snapshot', { snapshot: { number: 1 } }],
  ] as const) {
    await shows([name, ...decided], async () => {
      const body = { data: part, info: { resource: 'peer', operation: 'partial_update' } };
      await client.decideAlone(body);
    });
  }
  const missing = STEPS.filter(({ protocol, role, name }) => {
    const isHere = protocol === 'http' ? role !== 'gateway' : role === 'controller';
    return isHere && !watch.seen.has(name);
  });
  // They need a mixnet with owners: test/crash/main.ts has one.
  t.deepEqual(
    missing.map(({ name }) => name),
    [
      'node: a snapshot is put at the controller',
      'node: the directory is left with its controller',
      'controller: it says that it runs',
      'controller: a directory is recorded',
    ],
  );
  t.deepEqual(watch.strange, []);
});

/** Does something, and says by which steps alone it must have shown; their roles may be left out. */
type Shows = (names: readonly string[], act: () => Promise<void>) => Promise<void>;

function showing(t: ExecutionContext, watch: Watcher, role: string): Shows {
  return async (names, act) => {
    const before = new Map(watch.seen);
    await act();
    const fresh = [...watch.seen].filter(([name, count]) => count > (before.get(name) ?? 0));
    const wanted = names.map((name) => (name.includes(': ') ? name : `${role}: ${name}`));
    t.deepEqual(fresh.map(([name]) => name).toSorted(), wanted.toSorted());
  };
}

async function showMailIn(store: Store, shows: Shows): Promise<void> {
  const options = { primitives: native, storageKey: STORAGE_KEY };
  const mails = await MailStore.open(store, options);
  const notices = new NoticeStore(store, options);
  const accept = async (bytes: number): Promise<string> => {
    const messageId = randomId();
    const about = fromUtf8('about');
    const notice = notices.writeCall(messageId, { about, returned: about });
    await mails.accept({ messageId, envelope: about, data: new Uint8Array(bytes), notice });
    return messageId;
  };
  const stored = ['a mail is stored', "a mail's job is added"];
  let [messageId, large] = ['', ''];
  await shows(stored, async () => void (messageId = await accept(100)));
  await shows(
    [...stored, 'a part of a large mail is stored'],
    async () => void (large = await accept(PART)),
  );
  const done: string[] = [];
  await shows(["a mail's job is taken", "a mail's job ends"], async () => {
    const worker = await openWorker(store, 'mail', async ({ id }) => {
      done.push(id);
      await Promise.resolve();
    });
    await until(() => done.length === 2);
    await worker.close();
  });
  await shows(['a prepared mail is removed'], async () => {
    for (const each of [messageId, large]) await mails.remove(each);
  });
  await shows(
    ['what its sender might be told is removed'],
    async () => await notices.remove(notices.nameOf(messageId)),
  );
  await shows(['it looks for mail without a job'], async () => void (await mails.sweep()));
  const passed = new PassedStore(store);
  await shows(['that a mail has passed is recorded'], async () => await passed.add(randomId()));
}

async function showPackets(store: Store, shows: Shows): Promise<void> {
  const records = recordsOf(store);
  const sent = new SentStore(store, { primitives: native, storageKey: STORAGE_KEY, records });
  const first = await openQueue(store, 'outbound-abc');
  const taker = await openTaker(store, 'outbound-abc');
  const again = await openQueue(store, 'outbound-abc-again');
  const mixing = await openQueue(store, 'mixing');
  const [one, two, packet] = [record('outbound-abc'), record('outbound-abc'), record('ticks')];
  await shows(['a fragment is stored'], async () => await records.put(one));
  await shows(
    ['a fragment is stored', 'one more fragment of a mail is stored'],
    async () => await records.put(two),
  );
  const jobs = [one, two].map(({ recordId: id }, i) => ({ id, place: i + 1 }));
  await shows(['fragments are queued'], async () => await first.addMany(jobs));
  let job: Awaited<ReturnType<typeof taker.take>> = null;
  await shows(['a fragment is taken for a tick'], async () => void (job = await taker.take()));
  const replyId = new Uint8Array(randomBytes(16));
  await shows(['a packet of its own is stored'], async () => {
    const about = sentPacket(one.recordId);
    await sent.send({ record: packet, replyId, sent: about, sends: new Uint8Array(20) });
  });
  await shows(['jobs of packets are added'], async () => await mixing.add(packet.recordId));
  await shows(['a fragment that was sent waits for its ack'], async () => {
    await again.add(one.recordId, Date.now() + HOUR_MS);
  });
  await shows(['its first job ends'], async () => await job?.settle());
  await shows(["a packet's job is taken", "a packet's job ends"], async () => {
    let isDone = false;
    const worker = await openWorker(store, 'mixing', async () => {
      isDone = true;
      await Promise.resolve();
    });
    await until(() => isDone);
    await worker.close();
  });
  await shows(['its record is removed'], async () => void (await records.remove(packet.recordId)));
  await shows(['an ack settles its fragment'], async () => await sent.settle(replyId));
  await shows(
    ["the settled fragment's job is removed"],
    async () => void (await again.remove(one.recordId)),
  );
}

async function showMailOut(store: Store, shows: Shows): Promise<void> {
  const options = { primitives: native, storageKey: STORAGE_KEY };
  const fragments = new FragmentStore(store, options);
  const records = recordsOf(store);
  const journal = new Journal(store, { records, fragments });
  const { packet, next, dueMs } = record('one');
  const onward = { packet, next, dueMs };
  const commit = async (outcome: Outcome): Promise<void> => {
    await journal.commit([entry(outcome)]);
  };
  const tag = new Uint8Array(16);
  await shows(['a replay tag is looked for'], async () => void (await journal.has('one', tag)));
  await shows(["an ack's tag is committed"], async () => await commit({ kind: 'none' }));
  await shows(['packets are committed'], async () => await commit({ kind: 'forward', ...onward }));
  await shows(['a fragment is committed with its ack'], async () => {
    const messageId = new Uint8Array(randomBytes(16));
    const expiryMs = Date.now() + HOUR_MS;
    const fragment = { messageId, index: 0, total: 1, expiryMs, bytes: new Uint8Array(100) };
    await commit({ kind: 'fragment', fragment, ack: onward });
  });
  const [id = ''] = await fragments.complete();
  const delivery = await openQueue(store, 'delivery');
  await shows(['a delivery is queued'], async () => await delivery.add(id));
  await shows(['a delivery is taken', "a delivery's job ends"], async () => {
    let isDone = false;
    const worker = await openWorker(store, 'delivery', async () => {
      isDone = true;
      await Promise.resolve();
    });
    await until(() => isDone);
    await worker.close();
  });
  const progress = new DeliveryProgress(store, options);
  await shows(['what became of a delivery is recorded'], async () => {
    await progress.save(id, new Map([[0, { outcome: 'accepted' }]] as const));
  });
  await shows(['a delivered mail is removed'], async () => await fragments.markDelivered(id));
  await shows(['the record of a delivery is removed'], async () => await progress.remove(id));
  await shows(
    ['node: tags of an ended key are removed', 'its record is removed'],
    async () => await journal.destroy('one'),
  );
}

async function showReports(store: Store, shows: Shows): Promise<void> {
  const options = { primitives: native, storageKey: STORAGE_KEY };
  const reports = new ReportStore(store, options);
  const returns = new ReturnStore(store, options);
  const id = randomId();
  await shows(['a report is kept'], async () => void (await reports.keep(id, fromUtf8('report'))));
  await shows(['a report is settled'], async () => await reports.settle(id));
  await shows(
    ['the return address of a mail is remembered'],
    async () => await returns.remember(id, fromUtf8('about')),
  );
}

async function showStart(store: Store, shows: Shows): Promise<void> {
  await shows(
    ['it looks for its storage key'],
    async () => await requireStorageKey(store, native, STORAGE_KEY),
  );
  await shows(['it lists what waits'], async () => {
    for await (const _ of recordsOf(store).pending());
  });
  await shows(['it says that it runs'], async () => {
    announceRunning(store);
    await until(async () => (await store.redis.exists(`${store.prefix}:running`)) === 1);
  });
}

/** A node's client of a controller, by way of a proxy. */
async function clientBehindProxy(
  t: ExecutionContext,
  watch: Watcher,
  url: string,
  identity: ReturnType<typeof createIdentity>,
): Promise<ControllerClient> {
  const [listenPort = 0] = await freePorts(1);
  const server = 'mix-1.controller';
  const serverPort = Number(new URL(url).port);
  const link: Link = {
    name: server,
    protocol: 'http',
    client: null,
    server,
    listenPort,
    serverPort,
  };
  const proxy = await openProxy(link, watch);
  t.teardown(async () => await proxy.close());
  const address = `http://127.0.0.1:${listenPort}/`;
  return new ControllerClient({ url, address, identity, primitives: native });
}

function recordsOf(store: Store): Records {
  return new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
}

function record(endpointId: string): Parameters<Records['put']>[0] {
  const packet = new Uint8Array(500);
  return { recordId: randomId(), endpointId, next: new Uint8Array(16), dueMs: Date.now(), packet };
}

function entry(outcome: Outcome): CommitEntry {
  return { endpointId: 'one', tag: new Uint8Array(randomBytes(16)), outcome };
}

function sentPacket(fragmentId: string): SentPacket {
  const nodes = [toHex(randomBytes(32))];
  return {
    kind: 'fragment',
    fragmentId,
    keytuple: [new Uint8Array(16)],
    nodes,
    sentMs: 1,
    dueMs: 2,
  };
}

/** 32 hex digits. */
function randomId(): string {
  return toHex(randomBytes(16));
}
