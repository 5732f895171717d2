import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { toBase64url } from '../../src/bytes.ts';
import { createIdentity, nodeAddress } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { Acks } from '../../src/mixer/acks.ts';
import { Collector, type CollectorOptions } from '../../src/mixer/collect.ts';
import { Committer } from '../../src/mixer/commit.ts';
import { Counters } from '../../src/mixer/counters.ts';
import type { OwnEndpoint } from '../../src/mixer/endpoint-files.ts';
import { PeelPool } from '../../src/mixer/peel-pool.ts';
import { Returns } from '../../src/mixer/returns.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { Journal } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import { createSphinx, relayRouting } from '../../src/sphinx/index.ts';
import { privateController, serial, sharedStore } from '../controller/private-controller.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { temporaryDataDir, until } from '../redis/private-redis.ts';
import { openKeys } from './own-keys.ts';

const store = sharedStore(test);
const params = { group: 'X25519', headerLen: 320, bodyLen: 2048 } as const;
const sphinx = createSphinx(params, native);
const NEXT = new Uint8Array(16).fill(2);

/** A mix with one open endpoint, and a sender who may post to it. */
async function createMix(t: ExecutionContext, over: Partial<CollectorOptions> = {}) {
  const controller = await privateController(t, store());
  const identity = createIdentity(native);
  const client = controller.client(identity);
  const keys = await openKeys({
    client,
    identity,
    store: store(),
    dataDir: await temporaryDataDir(t),
  });
  const [endpoint] = keys.endpoints() as [OwnEndpoint];
  const sender = await controller.peer();
  controller.nodes.add(sender.identity.peerId);
  const records = new Records(store(), {
    primitives: native,
    storageKeys: () => endpoint.storageKey,
  });
  const pool = new PeelPool();
  t.teardown(async () => await pool.close());
  const counters = new Counters();
  const jobs: string[] = [];
  const view = {
    sphinx,
    geometry: geometryOf(sphinx),
    directory: madeDirectory([madeNode(2)], { params }),
    isMix: true,
    isExit: false,
  };
  const journal = new Journal(store(), { records });
  const { storageKey } = endpoint;
  const committer = new Committer({
    endpointId: endpoint.endpointId,
    journal,
    acks: new Acks({
      pool,
      random: native.random,
      counters,
      now: Date.now,
      refreshedView: async () => await Promise.resolve(view),
    }),
    returns: new Returns({
      pool,
      sent: new SentStore(store(), { primitives: native, storageKey, records }),
      watch: { returned: () => undefined },
      onKept: async () => await Promise.resolve(),
    }),
    counters,
    waiting: async () => await records.count(endpoint.endpointId),
    isFull: () => false,
    onJournalFull: () => undefined,
  });
  const options: CollectorOptions = {
    endpoint,
    client,
    journal,
    committer,
    pool,
    counters,
    log: silentLog,
    now: Date.now,
    view: () => view,
    refreshDirectory: async () => await Promise.resolve(),
    addJobs: async (entries) => {
      for (const { tag } of entries) jobs.push(records.recordId(endpoint.endpointId, tag));
      await Promise.resolve();
    },
    resume: async () => {
      for await (const { recordId } of records.pending(endpoint.endpointId)) jobs.push(recordId);
    },
    onUnknown: () => undefined,
    ...over,
  };
  const { publicKey } = endpoint.mixKey;
  const address = nodeAddress(native, identity.peerId, publicKey);
  const hops = [
    { publicKey, routing: relayRouting(address, 0) },
    { publicKey, routing: relayRouting(NEXT, 5) },
  ];
  return {
    options,
    records,
    counters,
    jobs,
    /** Posts a packet that is to be passed on. */
    post: async (to = hops): Promise<void> => {
      const packet = sphinx.build(to, NEXT, NEXT);
      const recipient = identity.peerId;
      const { endpointId } = endpoint;
      await sender.postMessage({
        endpointId,
        recipient,
        text: toBase64url(packet),
        serial: serial(),
      });
    },
    unreleased: async () =>
      (await client.listMessages({ endpointId: endpoint.endpointId, box: 'INBOX' })).length,
    hops,
  };
}

function run(t: ExecutionContext, options: CollectorOptions): void {
  const collector = new Collector(options);
  collector.start();
  t.teardown(async () => await collector.stop());
}

test.serial('a packet is released once it is committed and has its job', async (t) => {
  const { options, post, unreleased, jobs, counters } = await createMix(t);
  await post();
  t.is(await unreleased(), 1);
  run(t, options);
  await until(async () => (await unreleased()) === 0);
  t.is(jobs.length, 1);
  t.is(counters.of('forward'), 1);
});

test.serial(
  'what could not be committed is not released, said once, and comes again',
  async (t) => {
    const mix = await createMix(t);
    let isAway = true;
    let tries = 0;
    const { committer } = mix.options;
    const said: unknown[] = [];
    const note = ({ event }: { event?: unknown }): void => void said.push(event);
    run(t, {
      ...mix.options,
      log: { ...silentLog, info: note, warn: note },
      committer: {
        commit: async (view, opened) => {
          tries++;
          if (isAway) throw new PanoramixError('redis-unavailable', 'a test');
          return await committer.commit(view, opened);
        },
      },
    });
    await mix.post();
    await until(async () => await Promise.resolve(tries > 2));
    t.is(await mix.unreleased(), 1);
    t.is(mix.jobs.length, 0);
    t.deepEqual(said, ['collect-failed']);
    isAway = false;
    await until(async () => (await mix.unreleased()) === 0);
    t.is(mix.jobs.length, 1);
    t.is(mix.counters.of('forward'), 1);
    await until(async () => await Promise.resolve(said.length > 1));
    t.deepEqual(said, ['collect-failed', 'collect-resumed']);
  },
);

test.serial('what was committed without our hearing it gets its job all the same', async (t) => {
  const mix = await createMix(t);
  let failures = 0;
  const { committer } = mix.options;
  run(t, {
    ...mix.options,
    committer: {
      commit: async (view, opened) => {
        const fresh = await committer.commit(view, opened);
        if (failures++ === 0) throw new PanoramixError('redis-unavailable', 'a test');
        return fresh;
      },
    },
  });
  await mix.post();
  await until(async () => (await mix.unreleased()) === 0);
  const [record] = mix.jobs;
  t.truthy(await mix.records.load(record ?? ''));
  t.is(new Set(mix.jobs).size, 1);
});

test.serial('where adding jobs failed, all that is committed gets its job', async (t) => {
  const mix = await createMix(t);
  let failures = 0;
  run(t, {
    ...mix.options,
    addJobs: async (entries) => {
      if (failures++ === 0) throw new PanoramixError('redis-unavailable', 'a test');
      await mix.options.addJobs(entries);
    },
  });
  await mix.post();
  await until(async () => (await mix.unreleased()) === 0);
  t.is(mix.jobs.length, 1);
});

test.serial(
  'an unknown next hop makes it look for a newer directory before it drops',
  async (t) => {
    const mix = await createMix(t);
    const old = mix.options.view();
    if (old === null) throw new Error('no view');
    const empty = { ...old, directory: madeDirectory([], { params }) };
    let held = empty;
    let looks = 0;
    run(t, {
      ...mix.options,
      view: () => held,
      refreshDirectory: async () => {
        looks += 1;
        held = old;
        await Promise.resolve();
      },
    });
    await mix.post();
    await until(async () => (await mix.unreleased()) === 0);
    t.is(mix.counters.of('forward'), 1);
    held = empty;
    await mix.post();
    await until(() => mix.counters.of('forward') === 2);
    t.is(looks, 2);
  },
);

for (const extraMs of [0, 40, 120]) {
  test.serial(
    `work that took ${extraMs} ms longer shows in steps only: mail was told from cover`,
    async (t) => {
      const mix = await createMix(t);
      const { client, addJobs } = mix.options;
      let cameMs = 0;
      const tookMs: number[] = [];
      run(t, {
        ...mix.options,
        client: {
          listMessages: async (query) => {
            const messages = await client.listMessages(query);
            cameMs = performance.now();
            return messages;
          },
          releaseMessages: async (query) => {
            tookMs.push(performance.now() - cameMs);
            await client.releaseMessages(query);
          },
        },
        addJobs: async (entries) => {
          await addJobs(entries);
          await sleep(extraMs);
        },
      });
      for (let i = 0; i < 5; i++) {
        await mix.post();
        await until(() => tookMs.length === i + 1);
      }
      // A busy machine makes some later, and none earlier; timers may be a ms early.
      const stepMs = Math.ceil((extraMs + 1) / 100) * 100;
      t.true(Math.min(...tookMs) >= stepMs - 2, tookMs.join(' '));
      await until(async () => (await mix.unreleased()) === 0);
    },
  );
}
