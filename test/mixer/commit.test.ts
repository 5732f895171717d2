import test, { type ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { createMixKey } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { Acks } from '../../src/mixer/acks.ts';
import { Committer, type CommitterOptions, type OpenedPacket } from '../../src/mixer/commit.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { PeelPool } from '../../src/mixer/peel-pool.ts';
import { Returns } from '../../src/mixer/returns.ts';
import { readAck } from '../../src/mixnet/ack.ts';
import type { MixView } from '../../src/mixnet/mix.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { FragmentStore, type FragmentLimits } from '../../src/redis/fragment-store.ts';
import { Journal, type CommitEntry } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import { relayRouting } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { fragmentOf, geometry, params, sphinx } from './outbound-parts.ts';

const store = sharedStore(test);
const pool = new PeelPool();
test.after.always(async () => await pool.close());

/** One mix, which is also the way back, and the sender's own node behind it. */
const [mix, sender] = [1, 2].map(() => createMixKey(native, native.group('X25519')));
if (mix === undefined || sender === undefined) throw new Error('no keys');
const MIX = new Uint8Array(16).fill(1);
const SENDER = new Uint8Array(16).fill(2);
const view: MixView = {
  sphinx,
  geometry,
  directory: madeDirectory([madeNode(1), madeNode(2)], { params }),
  isMix: true,
  isExit: true,
};
const later = (): number => Date.now() + 3_600_000;

/** A reply block, and what its answer says once it has passed the mix. */
function replyBlock(first: Uint8Array = MIX) {
  const hops = [
    { publicKey: mix!.publicKey, routing: relayRouting(first, 0) },
    { publicKey: sender!.publicKey, routing: relayRouting(SENDER, 7) },
  ];
  const { id, keytuple, surb } = sphinx.createSurb(hops, new Uint8Array());
  const read = (packet: Uint8Array) => {
    const passed = sphinx.peel(mix!.secret, packet);
    if (passed.kind === 'drop') return passed.reason;
    const back = sphinx.peel(sender!.secret, passed.out);
    return back.kind === 'drop' ? back.reason : readAck(sphinx, keytuple, back.delta);
  };
  return { id, keytuple, block: sphinx.encodeSurb(surb), read };
}

/** An exit with an endpoint of its own. */
function createExit(
  over: Partial<CommitterOptions> = {},
  limits: Partial<FragmentLimits> = {},
  refreshed: MixView | null = view,
) {
  const endpointId = `e${toHex(native.random(8))}`;
  const storageKey = native.random(32);
  // Limits are of a whole node: each has its own part of the one server.
  const own = Object.create(store(), {
    prefix: { value: `{panoramix}:${endpointId}` },
    rests: { value: () => store().rests() },
    wrote: { value: (bytes: number) => store().wrote(bytes) },
  }) as Store;
  const records = new Records(own, { primitives: native, storageKeys: () => storageKey });
  const fragments = new FragmentStore(own, { primitives: native, storageKey, limits });
  const journal = new Journal(own, { records, fragments });
  const sent = new SentStore(own, { primitives: native, storageKey, records });
  const counters = new Counters();
  const returned: string[] = [];
  const options: CommitterOptions = {
    endpointId,
    journal,
    acks: new Acks({
      pool,
      random: native.random,
      counters,
      now: Date.now,
      refreshedView: async () => await Promise.resolve(refreshed),
    }),
    returns: new Returns({
      pool,
      sent,
      watch: { returned: (id) => returned.push(id) },
      onKept: async () => await Promise.resolve(),
    }),
    counters,
    waiting: async () => await records.count(endpointId),
    isFull: () => false,
    onJournalFull: () => undefined,
    ...over,
  };
  const committer = new Committer(options);
  return {
    options,
    records,
    fragments,
    journal,
    sent,
    counters,
    returned,
    commit: async (...packets: readonly OpenedPacket[]) => await committer.commit(view, packets),
    /** The packet that was committed for a tag. */
    onward: async (tag: Uint8Array) => await records.load(records.recordId(endpointId, tag)),
    isKnown: async (tag: Uint8Array) => await journal.has(endpointId, tag),
  };
}

function opened(outcome: OpenedPacket['outcome']): OpenedPacket {
  return { tag: native.random(16), outcome };
}

/** That an exit answers a packet with this word, after a delay, along its reply block. */
async function answered(
  t: ExecutionContext,
  exit: ReturnType<typeof createExit>,
  packet: OpenedPacket,
  { read }: ReturnType<typeof replyBlock>,
  verdict: 'kept' | 'refused',
): Promise<void> {
  const record = await exit.onward(packet.tag);
  if (record === null) throw new Error('there is no answer');
  t.is(read(record.packet), verdict);
  t.deepEqual(record.next, MIX);
  t.true(record.dueMs >= Date.now() - 5_000);
  t.is(record.packet.length, sphinx.packetBytes);
}

test('cover is answered like a fragment, and a job is due for both answers', async (t) => {
  const exit = createExit();
  const [forCover, forFragment] = [replyBlock(), replyBlock()];
  const cover = opened({ kind: 'cover', replyBlock: forCover.block });
  const fragment = opened({
    kind: 'fragment',
    fragment: fragmentOf(later()),
    replyBlock: forFragment.block,
  });
  const fresh = await exit.commit(cover, fragment);
  t.deepEqual(
    fresh.map(({ outcome }) => outcome.kind),
    ['forward', 'fragment'],
  );
  await answered(t, exit, cover, forCover, 'kept');
  await answered(t, exit, fragment, forFragment, 'kept');
  t.is((await exit.fragments.usage()).messages > 0, true);
  t.is(exit.counters.of('cover'), 1);
  t.is(exit.counters.of('fragment'), 1);
  t.is(exit.counters.of('forward'), 0);
});

test('answers wait for times of their own, exponential around the mean of the snapshot', async (t) => {
  const exit = createExit();
  const packets = Array.from({ length: 120 }, () =>
    opened({ kind: 'cover', replyBlock: replyBlock().block }),
  );
  const nowMs = Date.now();
  const fresh = await exit.commit(...packets);
  const delays = fresh.flatMap(({ outcome }) => ('dueMs' in outcome ? outcome.dueMs - nowMs : []));
  const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
  t.is(delays.length, 120);
  // 2 s, of 120 draws five standard deviations, and the time that building took.
  t.true(mean > 1_000 && mean < 3_500, `${mean} ms`);
  t.true(Math.max(...delays) > 2 * mean);
});

test('a fragment that cannot be kept is answered, too: refused', async (t) => {
  const exit = createExit({}, { bytesMax: 10 });
  const block = replyBlock();
  const packet = opened({
    kind: 'fragment',
    fragment: fragmentOf(later()),
    replyBlock: block.block,
  });
  const fresh = await exit.commit(packet);
  t.is(fresh[0]?.outcome.kind, 'forward');
  await answered(t, exit, packet, block, 'refused');
  t.is(exit.counters.of('message-full'), 1);
  t.is(exit.counters.of('fragment'), 0);
  t.true(await exit.isKnown(packet.tag));
});

for (const reason of ['fragment-expired', 'fragment-expiry-too-far'] as const) {
  test(`${reason}: by clocks that differ acks told mail from cover, for it had none`, async (t) => {
    const exit = createExit();
    const [late, timely] = [replyBlock(), replyBlock()];
    const packet = opened({ kind: 'untimely', reason, replyBlock: late.block });
    const cover = opened({ kind: 'cover', replyBlock: timely.block });
    const fresh = await exit.commit(packet, cover);
    t.deepEqual(
      fresh.map(({ outcome }) => outcome.kind),
      ['forward', 'forward'],
    );
    await answered(t, exit, packet, late, 'refused');
    await answered(t, exit, cover, timely, 'kept');
    t.is(exit.counters.of(reason), 1);
    t.is((await exit.fragments.usage()).messages, 0);
  });
}

test('of a batch, only what was refused is answered so', async (t) => {
  const exit = createExit({}, { messagesMax: 1 });
  const blocks = [replyBlock(), replyBlock(), replyBlock()];
  const packets = blocks.map(({ block }) =>
    opened({ kind: 'fragment', fragment: fragmentOf(later()), replyBlock: block }),
  );
  await exit.commit(packets[0]!);
  await exit.commit(packets[1]!, packets[2]!, opened({ kind: 'cover', replyBlock: MIX }));
  await answered(t, exit, packets[0]!, blocks[0]!, 'kept');
  await answered(t, exit, packets[1]!, blocks[1]!, 'refused');
  await answered(t, exit, packets[2]!, blocks[2]!, 'refused');
});

test('a fragment that came before is answered again: its sender did not hear the first', async (t) => {
  const exit = createExit();
  const fragment = fragmentOf(later());
  for (const block of [replyBlock(), replyBlock()]) {
    const packet = opened({ kind: 'fragment', fragment, replyBlock: block.block });
    await exit.commit(packet);
    await answered(t, exit, packet, block, 'kept');
  }
  t.is((await exit.fragments.usage()).messages, 1);
});

test('a replay is not answered a second time', async (t) => {
  const exit = createExit();
  const packet = opened({ kind: 'cover', replyBlock: replyBlock().block });
  await exit.commit(packet);
  const record = await exit.onward(packet.tag);
  await exit.records.remove(record?.recordId ?? '');
  t.deepEqual(await exit.commit(packet), []);
  t.is(await exit.onward(packet.tag), null);
  t.is(exit.counters.of('replayed'), 1);
});

for (const [what, block, name] of [
  ['what is no reply block', new Uint8Array(5), 'ack-malformed'],
  ['a first hop that no directory knows', replyBlock(SENDER.map(() => 9)).block, 'ack-unroutable'],
] as const) {
  test(`${what} is counted and answered by nothing; the fragment stays`, async (t) => {
    const exit = createExit();
    const cover = opened({ kind: 'cover', replyBlock: block });
    const fragment = opened({
      kind: 'fragment',
      fragment: fragmentOf(later()),
      replyBlock: block,
    });
    await exit.commit(cover, fragment);
    t.is(exit.counters.of(name), 2);
    t.is(await exit.onward(cover.tag), null);
    t.is(await exit.onward(fragment.tag), null);
    t.true(await exit.isKnown(cover.tag));
    t.is((await exit.fragments.usage()).messages, 1);
  });
}

test('a first hop that a newer directory knows is answered', async (t) => {
  const nine = madeDirectory([madeNode(1), madeNode(9)], { params });
  const exit = createExit({}, {}, { ...view, directory: nine });
  const packet = opened({
    kind: 'cover',
    replyBlock: replyBlock(new Uint8Array(16).fill(9)).block,
  });
  await exit.commit(packet);
  t.is(exit.counters.of('ack-unroutable'), 0);
  t.deepEqual((await exit.onward(packet.tag))?.next, new Uint8Array(16).fill(9));
});

for (const [what, over] of [
  ['with as many packets waiting as may', { waiting: async () => await Promise.resolve(8192) }],
  ['where the storage is full', { isFull: () => true }],
] as const) {
  test(`${what}, all kinds are shed alike, unanswered, and replies still settle`, async (t) => {
    const exit = createExit(over);
    const { id, keytuple, block } = replyBlock();
    const nothing = { kind: 'cover', fragmentId: null, nodes: [], sentMs: 1, dueMs: 2 } as const;
    const record = { endpointId: 'ticks', next: MIX, dueMs: 1, packet: new Uint8Array(1) };
    await exit.sent.send({
      record: { ...record, recordId: 'a'.repeat(32) },
      replyId: id,
      sent: { ...nothing, keytuple },
      sends: null,
    });
    const shed = [
      opened({ kind: 'forward', packet: native.random(99), next: MIX, dueMs: 1 }),
      opened({ kind: 'cover', replyBlock: block }),
      opened({ kind: 'fragment', fragment: fragmentOf(later()), replyBlock: block }),
    ];
    const ack = sphinx.reply(sphinx.decodeSurb(block)!, Uint8Array.of(1, 0));
    const passed = sphinx.peel(mix.secret, ack);
    const back = passed.kind === 'drop' ? passed : sphinx.peel(sender.secret, passed.out);
    if (back.kind === 'drop') throw new Error(back.reason);
    const reply = opened({ kind: 'reply', id, delta: back.delta });
    const fresh = await exit.commit(...shed, reply);
    t.true(fresh.every(({ outcome }) => outcome.kind === 'none'));
    t.is(exit.counters.of('overloaded'), 3);
    t.is(exit.counters.of('reply'), 1);
    for (const { tag } of shed) {
      t.true(await exit.isKnown(tag), 'it has had its outcome');
      t.is(await exit.onward(tag), null);
    }
    t.is((await exit.fragments.usage()).messages, 0);
    t.is(await exit.sent.load(id), null);
    t.deepEqual(exit.returned, [toHex(id)]);
  });
}

test('one packet fewer than may wait is not shed', async (t) => {
  const exit = createExit({ waiting: async () => await Promise.resolve(8191) });
  await exit.commit(opened({ kind: 'cover', replyBlock: replyBlock().block }));
  t.is(exit.counters.of('cover'), 1);
});

test('a packet whose body was changed has had its one outcome: the whole one is a replay', async (t) => {
  const exit = createExit();
  const { tag } = opened({ kind: 'cover', replyBlock: MIX });
  await exit.commit({ tag, outcome: { kind: 'drop', reason: 'body-mac-mismatch' } });
  t.is(exit.counters.of('body-mac-mismatch'), 1);
  await exit.commit({ tag, outcome: { kind: 'cover', replyBlock: replyBlock().block } });
  t.is(exit.counters.of('replayed'), 1);
  t.is(await exit.onward(tag), null);
});

test('where Redis went away at the answer to a refused fragment, the batch is committed again', async (t) => {
  const { options, ...parts } = createExit({}, { bytesMax: 10 });
  let commits = 0;
  const journal = {
    commit: async (entries: readonly CommitEntry[]) => {
      if (++commits === 2) throw new PanoramixError('redis-unavailable', 'a test');
      return await parts.journal.commit(entries);
    },
  };
  const committer = new Committer({ ...options, journal });
  const block = replyBlock();
  const cover = opened({ kind: 'cover', replyBlock: replyBlock().block });
  const fragment = opened({
    kind: 'fragment',
    fragment: fragmentOf(later()),
    replyBlock: block.block,
  });
  await t.throwsAsync(committer.commit(view, [cover, fragment]), { message: /unavailable/ });
  t.truthy(await parts.onward(cover.tag));
  t.false(await parts.isKnown(fragment.tag));
  await committer.commit(view, [cover, fragment]);
  const record = await parts.onward(fragment.tag);
  t.is(block.read(record?.packet ?? new Uint8Array()), 'refused');
});
