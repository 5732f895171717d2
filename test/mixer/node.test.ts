import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { toBase64url, toHex, toUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { MixedMail } from '../../src/mail/envelope.ts';
import { PanoramixError } from '../../src/errors.ts';
import { Records } from '../../src/redis/records.ts';
import { changeStatus, serial } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { smallMixnet, type SmallMixnet, type SmallNode } from './small-mixnet.ts';

/** The hash and id of each mail, sorted: what must be the same at both ends. */
function list(mails: readonly { messageId: string; data: Uint8Array }[]): readonly string[] {
  return mails
    .map(({ messageId, data }) => `${messageId} ${toHex(native.sha256(data))}`)
    .toSorted();
}

function twentyMails(mixnet: SmallMixnet, from: SmallNode, to: SmallNode): readonly MixedMail[] {
  const sizes = [0, 1, 3000, 4000, 9000];
  return Array.from({ length: 20 }, (_, i) =>
    mixnet.mail(from, to, native.random(sizes[i % sizes.length] as number)),
  );
}

test.serial('twenty mails cross three mixes byte for byte', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
  const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
  const mails = twentyMails(mixnet, from, to);
  for (const mail of mails) t.is(await from.mixer.accept(mail), 'stored');
  t.is(await from.mixer.accept(mails[0] as MixedMail), 'repeat');
  await until(() => to.arrived.length >= mails.length, 60_000);
  t.deepEqual(list(to.arrived), list(mails));
  await until(() => to.mixer.counters.of('delivered') === 20);
  t.true(from.mixer.counters.of('sent-cover') > 0);
  const arrived = to.arrived.find(({ messageId }) => messageId === mails[0]?.messageId);
  t.deepEqual(arrived?.recipients, mails[0]?.recipients);
});

test.serial(
  'nodes stopped and started in the middle lose nothing and double nothing',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2 });
    const [from, to] = mixnet.gateways as readonly [SmallNode, SmallNode];
    const mails = twentyMails(mixnet, from, to);
    for (const mail of mails) await from.mixer.accept(mail);
    for (const node of [...mixnet.mixes, from, to]) {
      await sleep(100);
      t.true(to.arrived.length < mails.length);
      await mixnet.restart(node);
    }
    await until(() => to.arrived.length >= mails.length, 60_000);
    await sleep(500);
    t.deepEqual(list(to.arrived), list(mails));
  },
);

test.serial('what is malformed is dropped by its reason and holds nothing up', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
  const [mix] = mixnet.mixes as readonly [SmallNode];
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  const poster = mix.controller.client(gateway.identity);
  const length = mixnet.directory.params.bodyLen + 336;
  const noise = native.random(length).fill(9, 0, 32);
  for (const text of [
    'hello',
    '',
    '?'.repeat(Math.ceil((length * 4) / 3)),
    toBase64url(native.random(length + 1)),
    toBase64url(noise),
    toBase64url(new Uint8Array(length)),
  ]) {
    const { endpointId } = mix.endpoint;
    const recipient = mix.identity.peerId;
    // A controller may refuse what is no text at all; what it takes must not stop the mix.
    await poster
      .postMessage({ endpointId, recipient, text, serial: serial() })
      .catch(() => undefined);
  }
  const mail = mixnet.mail(gateway, gateway, native.random(100));
  await gateway.mixer.accept(mail);
  await until(() => gateway.arrived.length === 1, 30_000);
  const { counters } = mix.mixer;
  t.true(counters.of('packet-length') >= 2);
  t.is(counters.of('mac-mismatch'), 1);
  t.is(counters.of('point-invalid'), 1);
});

test.serial('a packet that comes again under another serial leaves nowhere', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
  const [mix] = mixnet.mixes as readonly [SmallNode];
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  // While the mix stands still its controller keeps what comes, for its owner and for us to read.
  await mix.mixer.stop();
  await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(100)));
  const { endpointId } = mix.endpoint;
  const reader = mix.controller.client(mix.identity);
  const inbox = async () => await reader.listMessages({ endpointId, box: 'INBOX' });
  await until(async () => (await inbox()).length > 10, 20_000);
  const [first] = await inbox();
  await mixnet.restart(mix);
  await until(() => gateway.arrived.length === 1, 30_000);
  const poster = mix.controller.client(gateway.identity);
  const again = { endpointId, recipient: mix.identity.peerId, text: first?.text ?? '' };
  await poster.postMessage({ ...again, serial: serial() });
  await until(() => mix.mixer.counters.of('replayed') === 1);
  await mixnet.restart(mix);
  await poster.postMessage({ ...again, serial: serial() });
  await until(() => mix.mixer.counters.of('replayed') === 1);
  t.is(gateway.arrived.length, 1);
});

test.serial(
  'each recipient is given the mail once, and the sender is told of a refusal once',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
    const [gateway] = mixnet.gateways as readonly [SmallNode];
    const domain = gateway.entry.domains[0] as string;
    const [takes, waits, refuses] = [`a@${domain}`, `b@${domain}`, `c@${domain}`];
    gateway.answer = ({ recipients }) => ({
      accepted: recipients
        .map(({ address }) => address)
        .filter((address) => address === takes || gateway.arrived.length > 1),
      refused: recipients
        .filter(({ address }) => address !== takes)
        .map(({ address }) => ({
          address,
          reply: '550 5.1.1 No such user',
          permanent: address === refuses,
        })),
    });
    const recipients = [takes, waits, refuses].map((address) => ({ address }));
    await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10), { recipients }));
    await until(() => gateway.mixer.counters.of('report-delivered') === 1, 40_000);
    t.deepEqual(
      gateway.arrived.map((mail) => mail.recipients.map(({ address }) => address)),
      [[takes, waits, refuses], [waits], [`alice@${domain}`]],
    );
    t.is(gateway.mixer.counters.of('recipient-failed'), 1);
    const report = gateway.arrived.at(-1);
    t.is(report?.from, '');
    t.true(
      toUtf8(report?.data ?? new Uint8Array()).includes(`Final-Recipient: rfc822; ${refuses}`),
    );
  },
);

test.serial('a mail of more fragments than an exit keeps was lost after its 250', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 0, gateways: 1, bodyLen: 1024 });
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  const take = async (bytes: number): Promise<string> =>
    await gateway.mixer.accept(mixnet.mail(gateway, gateway, new Uint8Array(bytes)));
  t.is(await take(2_000 * 470), 'stored');
  const error = await t.throwsAsync(take(2_048 * 470), { instanceOf: PanoramixError });
  t.is(error.code, 'mail-too-large');
});

test.serial('a next hop that takes nothing now is tried until it does', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
  const [mix] = mixnet.mixes as readonly [SmallNode];
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  const controller = mix.controller.store as { pressure: () => string };
  controller.pressure = () => 'settle-only';
  await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10)));
  await sleep(1500);
  t.is(gateway.arrived.length, 0);
  controller.pressure = () => 'open';
  await until(() => gateway.arrived.length === 1, 30_000);
  t.pass();
});

test.serial('a next hop whose endpoint is closed ends the packet with that reason', async (t) => {
  const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
  const [mix] = mixnet.mixes as readonly [SmallNode];
  const [gateway] = mixnet.gateways as readonly [SmallNode];
  await mix.mixer.stop();
  const owner = mix.controller.client(mix.identity);
  const close = async (): Promise<boolean> => {
    const endpoint = await owner.getEndpoint(mix.endpoint.endpointId);
    if (endpoint === null) throw new Error('no endpoint');
    const { endpoint_id, last_message_id } = endpoint as typeof endpoint & {
      last_message_id: number;
    };
    const data = { endpoint_id, status: 'CLOSED' as const, last_message_id };
    return await changeStatus(owner, endpoint, data as never).then(
      () => true,
      () => false, // another packet came in between
    );
  };
  await until(close);
  await until(() => gateway.mixer.counters.of('endpoint-closed') > 0);
  t.pass();
});

test.serial(
  'without a directory that holds, mail is not taken, and what is taken waits',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 1, gateways: 1 });
    const [gateway] = mixnet.gateways as readonly [SmallNode];
    await gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10)));
    mixnet.isExpired = true;
    const refused = gateway.mixer.accept(mixnet.mail(gateway, gateway, native.random(10)));
    const error = await t.throwsAsync(refused, { instanceOf: PanoramixError });
    t.is(error.code, 'directory-unusable');
    t.is(error.smtpReply.code, 451);
    await sleep(2000);
    t.is(gateway.arrived.length, 0);
    mixnet.isExpired = false;
    await until(() => gateway.arrived.length === 1, 30_000);
  },
);

test.serial(
  'packets of an endpoint that was replaced stayed in the storage for ever',
  async (t) => {
    const mixnet = await smallMixnet(t, { mixes: 1, gateways: 0 });
    const node = mixnet.mixes[0] as SmallNode;
    const key = native.random(32);
    const before = new Records(node.store, { primitives: native, storageKeys: () => key });
    const put = async (agoMs: number): Promise<string> => {
      const recordId = toHex(native.random(16));
      const dueMs = Date.now() - agoMs;
      const next = native.random(16);
      await before.put({ recordId, endpointId: 'before', next, dueMs, packet: native.random(99) });
      return recordId;
    };
    const [old, recent] = [await put(4 * 3_600_000 + 1), await put(3_600_000)];
    await mixnet.restart(node);
    t.is(await before.load(old), null);
    t.truthy(await before.load(recent), 'its endpoint may come back');
    t.is(await before.count('before'), 1);
    t.is(node.mixer.counters.of('forward-keyless'), 1);
  },
);
