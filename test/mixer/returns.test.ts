import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { PeelPool } from '../../src/mixer/peel-pool.ts';
import { Returns, type ReturnsOptions } from '../../src/mixer/returns.ts';
import type { Reply } from '../../src/mixnet/mix.ts';
import { decryptWide } from '../../src/sphinx/lioness.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { fragmentOf, outboundParts, sphinx } from './outbound-parts.ts';

const store = sharedStore(test);
const pool = new PeelPool();
test.after.always(async () => await pool.close());
const later = (): number => Date.now() + 3_600_000;

/** A gateway that has sent a fragment or cover, and the body of an answer to it. */
async function createSent(kind: 'fragment' | 'cover', over: Partial<ReturnsOptions> = {}) {
  const parts = await outboundParts(store());
  const { exit, queue, emission, outbound, sent, traffic, held } = parts;
  const id = kind === 'fragment' ? await queue(fragmentOf(later())) : null;
  const ready = parts.ready();
  await ready.fill(exit);
  const packet = ready.take(exit, kind);
  if (packet === null) throw new Error('nothing is ready');
  const againAtMs = await emission.send(packet, traffic);
  if (packet.taken) await outbound.putOff(packet.taken, againAtMs);
  await ready.close();
  const back: string[] = [];
  const kept: string[] = [];
  const returns = new Returns({
    pool,
    sent,
    watch: { returned: (replyId) => back.push(replyId) },
    onKept: async (fragmentId) => {
      kept.push(fragmentId);
      await outbound.settle(fragmentId);
    },
    ...over,
  });
  const { id: replyId, keytuple } = packet.packet.reply;
  const view = held.view;
  if (view === null) throw new Error('no view');
  return {
    ...parts,
    id,
    replyId,
    back,
    kept,
    returns,
    /** What came back, as its last hop hands it over. */
    answer: (verdict: 0 | 1): Reply => ({
      kind: 'reply',
      id: replyId,
      delta: answerOf(keytuple, Uint8Array.of(1, verdict)),
    }),
    take: async (...replies: readonly Reply[]) => await returns.take(view, replies),
    waits: async (of: 'first' | 'resend') =>
      id !== null && (await (await parts.queues.queue(exit, of)).has(id)),
  };
}

/** The body of a reply as it leaves the last hop: each hop has decrypted it once with its key. */
function answerOf(keytuple: readonly Uint8Array[], message: Uint8Array): Uint8Array {
  const [ktilde, ...bodyKeys] = keytuple as [Uint8Array, ...Uint8Array[]];
  const surb = {
    first: new Uint8Array(),
    alpha: new Uint8Array(32),
    beta: new Uint8Array(288),
    gamma: new Uint8Array(16),
    ktilde,
  };
  const body = sphinx.reply(surb, message).slice(336);
  for (const key of bodyKeys) decryptWide(native, key, body.slice(), body);
  return body;
}

test('the answer to a fragment that was kept settles all that is stored of it, and its job', async (t) => {
  const { take, answer, id, replyId, sent, records, waits, back, kept } =
    await createSent('fragment');
  t.true(await waits('resend'));
  t.deepEqual(await take(answer(0)), ['reply']);
  t.is(await sent.load(replyId), null);
  t.is(await records.load(id ?? ''), null);
  t.is(await sent.sends(id ?? ''), null);
  t.false(await waits('resend'));
  t.deepEqual(kept, [id]);
  t.deepEqual(back, [toHex(replyId)]);
  t.deepEqual(await take(answer(0)), ['reply-unknown'], 'once is enough');
});

test('a fragment that was refused stays, to be sent again at its time', async (t) => {
  const { take, answer, id, replyId, sent, records, waits, back, kept } =
    await createSent('fragment');
  t.deepEqual(await take(answer(1)), ['reply-refused']);
  t.is(await sent.load(replyId), null);
  t.truthy(await records.load(id ?? ''));
  t.truthy(await sent.sends(id ?? ''));
  t.true(await waits('resend'));
  t.deepEqual(kept, []);
  t.deepEqual(back, [toHex(replyId)], 'its trip is one that came back');
});

test('the answer to cover settles what was kept for it', async (t) => {
  const { take, answer, replyId, sent, back, kept } = await createSent('cover');
  t.deepEqual(await take(answer(0)), ['reply']);
  t.is(await sent.load(replyId), null);
  t.deepEqual(kept, []);
  t.deepEqual(back, [toHex(replyId)]);
});

test('an answer that was changed on its way settles nothing and counts as not back', async (t) => {
  const { take, answer, id, replyId, sent, records, back } = await createSent('fragment');
  const good = answer(0);
  const changed = { ...good, delta: good.delta.with(2000, (good.delta[2000] ?? 0) ^ 1) };
  t.deepEqual(await take(changed), ['reply-malformed']);
  t.truthy(await sent.load(replyId));
  t.truthy(await records.load(id ?? ''));
  t.deepEqual(back, []);
  t.deepEqual(await take(good), ['reply']);
});

test('an answer that nobody waits for is named so, and those beside it are taken', async (t) => {
  const { take, answer } = await createSent('cover');
  const stranger = { kind: 'reply', id: native.random(16), delta: native.random(4096) } as const;
  t.deepEqual(await take(stranger, answer(0), stranger), [
    'reply-unknown',
    'reply',
    'reply-unknown',
  ]);
});

test('a crash at any point of settling is put right by taking the same answer, or the job, again', async (t) => {
  const away = new PanoramixError('redis-unavailable', 'a test');
  let step = 'settle';
  const parts = await createSent('fragment', {
    onKept: async () => {
      if (step === 'jobs') throw away;
      await Promise.resolve();
    },
  });
  const { take, answer, sent, outbound, queues, exit, id, waits } = parts;
  const settle = sent.settle.bind(sent);
  sent.settle = async (replyId) => {
    if (step === 'settle') throw away;
    await settle(replyId);
  };
  await t.throwsAsync(take(answer(0)), { is: away });
  t.truthy(await sent.load(parts.replyId), 'nothing has happened: it is taken again');
  step = 'jobs';
  await t.throwsAsync(take(answer(0)), { is: away });
  t.true(await waits('resend'), 'the fragment is gone and its job is left');
  t.deepEqual(await take(answer(0)), ['reply-unknown']);
  const queue = await queues.queue(exit, 'resend');
  await queue.remove(id ?? '');
  await queue.add(id ?? '');
  const view = parts.held.view;
  if (view === null) throw new Error('no view');
  t.is(await outbound.take(exit, 'resend', view.geometry), null);
  t.false(await waits('resend'), 'a job without a fragment ends');
});
