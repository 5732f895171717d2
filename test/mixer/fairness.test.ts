/** Who waits for whom at the ticks of one exit: mails as they are cut and queued, over a real store. */
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import type { Outbound } from '../../src/mixer/outbound.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { geometry, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);
const gateway = createIdentity(native);
const later = (): number => Date.now() + 3_600_000;

type Parts = Awaited<ReturnType<typeof outboundParts>>;

/** Accepts a mail of about so many fragments and cuts it; its message id. */
async function prepare(
  outbound: Outbound,
  { exit }: Parts,
  mails: MailStore,
  mail: { readonly from: string; readonly fragments: number },
): Promise<string> {
  const data = native.random(Math.ceil((mail.fragments - 0.5) * geometry.fragmentBytes) - 500);
  const messageId = toHex(native.random(16));
  const envelope: Envelope = {
    mixnet: 'cc'.repeat(32),
    messageId,
    exit,
    gateway: gateway.peerId,
    from: mail.from,
    recipients: [{ address: 'bob@beta.example' }],
    body: '7BIT',
    smtputf8: false,
    bytes: data.length,
    sha256: toHex(native.sha256(data)),
    expiryMs: later(),
  };
  const signed = signEnvelope(native, gateway, envelope);
  await mails.accept({ messageId, envelope: signed, data });
  await outbound.prepare(mails, messageId, geometry);
  return messageId;
}

async function openMails(): Promise<MailStore> {
  return await MailStore.open(store(), { primitives: native, storageKey: native.random(32) });
}

/** Takes as ticks do until every fragment of a mail has been sent; how many were taken. */
async function ticksUntilSent(outbound: Outbound, exit: string, messageId: string) {
  let [taken, left] = [0, Number.POSITIVE_INFINITY];
  while (left > 0) {
    const one = await outbound.take(exit, 'first', geometry);
    if (one === null) throw new Error(`nothing is left after ${taken}`);
    taken++;
    if (toHex(one.fragment.messageId) === messageId) {
      left = Math.min(left, one.fragment.total) - 1;
    }
    await outbound.putOff(one, later());
  }
  return taken;
}

test('a mail of one fragment waited for all of a large one of somebody else', async (t) => {
  const parts = await outboundParts(store());
  const { exit, outbound } = parts;
  const mails = await openMails();
  await prepare(outbound, parts, mails, { from: 'eve@alpha.example', fragments: 70 });
  for (let i = 0; i < 10; i++) {
    const one = await outbound.take(exit, 'first', geometry);
    t.is(one?.fragment.index, i, 'those of one mail leave in their order');
    if (one) await outbound.putOff(one, later());
  }
  const small = await prepare(outbound, parts, mails, { from: 'ada@alpha.example', fragments: 1 });
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 61 });
  t.true((await ticksUntilSent(outbound, exit, small)) <= 3);
});

test('after a restart, too: the queue itself knows how far it has come', async (t) => {
  const parts = await outboundParts(store());
  const { exit, outbound } = parts;
  const mails = await openMails();
  await prepare(outbound, parts, mails, { from: 'eve@alpha.example', fragments: 70 });
  for (let i = 0; i < 30; i++) {
    const one = await outbound.take(exit, 'first', geometry);
    if (one) await outbound.putOff(one, later());
  }
  const restarted = parts.createOutbound();
  // None of the thirty was noted as sent: they get their jobs again, and are not all the next ones.
  await restarted.resume(null);
  const small = await prepare(restarted, parts, mails, { from: 'ada@alpha.example', fragments: 2 });
  t.true((await ticksUntilSent(restarted, exit, small)) <= 8);
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 65 });
});

test('a fragment that is given back is the next one again', async (t) => {
  const parts = await outboundParts(store());
  const { exit, outbound } = parts;
  const mails = await openMails();
  await prepare(outbound, parts, mails, { from: 'eve@alpha.example', fragments: 5 });
  await prepare(outbound, parts, mails, { from: 'ada@alpha.example', fragments: 5 });
  const one = await outbound.take(exit, 'first', geometry);
  await one?.job.giveBack();
  t.is((await outbound.take(exit, 'first', geometry))?.id, one?.id);
});

test('a mail that is still being stored as the queue becomes empty waited behind all that came later', async (t) => {
  const parts = await outboundParts(store());
  const { exit, records } = parts;
  const mails = await openMails();
  let meanwhile: (() => Promise<void>) | null = null;
  const outbound: Outbound = parts.createOutbound({
    records: {
      put: async (record) => {
        const step = meanwhile;
        meanwhile = null;
        await step?.();
        await records.put(record);
      },
      load: records.load.bind(records),
      remove: records.remove.bind(records),
      pending: records.pending.bind(records),
      recordId: records.recordId.bind(records),
    },
  });
  const old = await prepare(outbound, parts, mails, { from: 'eve@alpha.example', fragments: 40 });
  for (let i = 0; i < 39; i++) {
    const one = await outbound.take(exit, 'first', geometry);
    if (one) await outbound.putOff(one, later());
  }
  meanwhile = async () => {
    await ticksUntilSent(outbound, exit, old).catch(() => undefined);
    await prepare(outbound, parts, mails, { from: 'dan@alpha.example', fragments: 20 });
  };
  const small = await prepare(outbound, parts, mails, { from: 'ada@alpha.example', fragments: 1 });
  t.true((await ticksUntilSent(outbound, exit, small)) <= 3);
});
