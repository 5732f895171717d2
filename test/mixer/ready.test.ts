import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { ReadyPackets } from '../../src/mixer/ready.ts';
import type { Fragment } from '../../src/mixnet/fragment.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { openQueue } from '../../src/redis/queues.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { openTaker } from '../../src/redis/taker.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from '../mixnet/made-directory.ts';

const store = sharedStore(test);
const params = { group: 'X25519', headerLen: 320, bodyLen: 4096 } as const;
const sphinx = createSphinx(params, native);
const geometry = geometryOf(sphinx);
const EXIT = peerIdOf(9);
const fragment: Fragment = {
  messageId: native.random(16),
  index: 0,
  total: 1,
  expiryMs: NOW_MS + 3_600_000,
  bytes: native.random(100),
};

/** Shelves for one exit over a real queue, and what happens when a fragment is looked for. */
async function create(exit: string, load: () => Fragment | null) {
  const nodes = [1, 2, 3].map((number) => madeNode(number));
  const directory = madeDirectory([...nodes, madeNode(9, { roles: ['gateway'] })], { params });
  const name = `outbound-${exit}` as const;
  const queue = await openQueue(store(), name);
  const taker = await openTaker(store(), name);
  const discarded: string[] = [];
  const ready = new ReadyPackets({
    random: native.random,
    now: () => NOW_MS,
    me: peerIdOf(8),
    view: () => ({ sphinx, geometry, directory, isMix: false, isExit: true }),
    takerFor: async () => await Promise.resolve(taker),
    load: async () => await Promise.resolve(load()),
    discard: async (job) => {
      discarded.push(job.id);
      await job.settle();
    },
  });
  return { queue, ready, discarded };
}

test('a fragment whose bytes could not be read, as Redis went away, was held until a restart', async (t) => {
  let isAway = true;
  const { queue, ready, discarded } = await create('away', () => {
    if (isAway) throw new PanoramixError('redis-unavailable', 'a test');
    return fragment;
  });
  await queue.add('one');
  await t.throwsAsync(ready.fill(EXIT), { message: /redis-unavailable/ });
  isAway = false;
  await ready.fill(EXIT);
  t.true(ready.isWaiting(EXIT));
  t.deepEqual(discarded, []);
  await ready.close();
  t.like(await queueStats(store(), 'outbound-away'), { waiting: 1, active: 0 });
});

test('a fragment whose first hop takes nothing held up those behind it: it goes another way', async (t) => {
  const { queue, ready } = await create('backed-up', () => fragment);
  await queue.add('one');
  await ready.fill(EXIT);
  const before = ready.take(EXIT, 'fragment');
  if (before === null) throw new Error('nothing is ready');
  ready.putBack(EXIT, before, 'other-route');
  t.false(ready.isWaiting(EXIT));
  await ready.fill(EXIT);
  const after = ready.take(EXIT, 'fragment');
  t.is(after?.carried, before.carried);
  t.notDeepEqual(after?.packet.packet, before.packet.packet);
  ready.putBack(EXIT, before, 'same-route');
  t.is(ready.take(EXIT, 'fragment')?.packet.packet, before.packet.packet);
});
