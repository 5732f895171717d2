/** An exit that holds one complete mail for bob, over a real store, and a mail server that does as it is told. */
import type { ExecutionContext } from 'ava';
import { toHex, toUtf8 } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import type { ArrivedMail } from '../../src/mail/envelope.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { DeliveryProgress } from '../../src/mixer/delivery-progress.ts';
import { Deliverer } from '../../src/mixer/deliver.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { fragmentMail } from '../../src/mixnet/prepare.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { temporaryDataDir, temporaryStore } from '../redis/private-redis.ts';
import { exitFailures } from './exit-failures.ts';

const params = { group: 'X25519', headerLen: 320, bodyLen: 4096 } as const;
const geometry = geometryOf(createSphinx(params, native));

/** What of the mail, and of the exit, is not as usual. */
interface Unusual {
  readonly mail?: Partial<Pick<Envelope, 'from' | 'recipients' | 'ret'>>;
  readonly data?: Uint8Array;
  /** Mails that were taken in here. */
  readonly accepted?: readonly string[];
  readonly delayWarningMs?: number;
  readonly saveMsMax?: number;
}

/** @param serve may throw, or say of whom the mail server takes it not: `address: reply` */
export async function createExit(
  t: ExecutionContext,
  serve: (mail: ArrivedMail) => Promise<Readonly<Record<string, string>> | void>,
  unusual: Unusual = {},
) {
  const { data = native.random(100), accepted = [], delayWarningMs = 0 } = unusual;
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const gateway = createIdentity(native);
  const domains = ['a.example', 'b.example'];
  const node = madeNode(1, { peerId: gateway.peerId, owner: gateway.peerId, domains });
  const directory = madeDirectory([{ ...node, roles: ['gateway'] }], { params });
  const storageKey = native.random(32);
  const fragments = new FragmentStore(store, { primitives: native, storageKey });
  const startMs = Date.now();
  const clock = { nowMs: startMs };
  const envelope: Envelope = {
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
    expiryMs: startMs + 86_400_000,
    ...unusual.mail,
  };
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
  const given: ArrivedMail[] = [];
  const reports: string[] = [];
  const kept = new ReportStore(store, { primitives: native, storageKey });
  const start = (): Deliverer =>
    new Deliverer({
      primitives: native,
      me: gateway.peerId,
      fragments,
      progress: new DeliveryProgress(store, { primitives: native, storageKey }),
      directory: {
        current: () => ({ ok: true, directory }),
        last: () => directory,
        refresh: async () => await Promise.resolve(),
      },
      deliver: async (mail) => {
        given.push(mail);
        const replies = (await serve(mail)) ?? {};
        const addresses = mail.recipients.map(({ address }) => address);
        return {
          accepted: addresses.filter((address) => replies[address] === undefined),
          refused: addresses.flatMap((address) => {
            const reply = replies[address];
            return reply === undefined
              ? []
              : [{ address, reply, permanent: reply.startsWith('5') }];
          }),
        };
      },
      ...exitFailures(store, storageKey, directory, {
        accepted,
        now: () => clock.nowMs,
        reporter: {
          keep: async (reportId, _to, report, claim) => {
            const result = await kept.keep(reportId, report.data, claim);
            if (result === 'kept') reports.push(toUtf8(report.data));
            return result;
          },
        },
      }),
      delayWarningMs,
      ...(unusual.saveMsMax === undefined ? {} : { saveMsMax: unusual.saveMsMax }),
      acceptsDomain: () => false,
      counters: new Counters(),
      log: silentLog,
      now: () => clock.nowMs,
    });
  let deliverer = start();
  return {
    dataDir,
    store,
    fragments,
    id,
    messageId: envelope.messageId,
    given,
    reports,
    clock,
    /** As after a kill: nothing but the store is left. */
    restart: () => (deliverer = start()),
    work: async () => await deliverer.work({ id, dueMs: clock.nowMs, failures: 0 }),
  };
}
