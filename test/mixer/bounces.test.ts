import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toHex, toUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { BouncedRecipient } from '../../src/mail/bounce.ts';
import type { Report } from '../../src/mail/report.ts';
import type { Recipient } from '../../src/mixnet/envelope.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { temporaryStore } from '../redis/private-redis.ts';
import { exitFailures } from './exit-failures.ts';

const provider = (number: number, domain: string) =>
  madeNode(number, { domains: [domain], roles: ['gateway'] });
const near = provider(1, 'near.test');
const far = provider(2, 'far.test');
const directory = madeDirectory([near, far], {});
const data = fromUtf8('Subject: x\r\n\r\nbody\r\n');

/** An exit that has given one mail to its mail server, and what it tells of that mail, by recipient. */
async function delivered(t: ExecutionContext, recipients: readonly Recipient[]) {
  const store = await temporaryStore(t);
  const storageKey = native.random(32);
  const reports: string[] = [];
  const stored = new ReportStore(store, { primitives: native, storageKey });
  const { bounces } = exitFailures(store, storageKey, directory, {
    me: far.peerId,
    reporter: {
      keep: async (id, to, report: Report, claim) => {
        const kept = await stored.keep(id, report.data, claim);
        t.is(to, 'ada@near.test');
        if (kept === 'kept') reports.push(toUtf8(report.data));
        return kept;
      },
    },
  });
  const messageId = toHex(native.random(16));
  const envelope = {
    mixnet: directory.mixnetId,
    messageId,
    exit: far.peerId,
    gateway: near.peerId,
    from: 'ada@near.test',
    recipients,
    body: '8BITMIME',
    smtputf8: false,
    bytes: data.length,
    sha256: toHex(native.sha256(data)),
    expiryMs: 1,
  } as const;
  await bounces.remember(envelope, data);
  const said = async (...all: Partial<BouncedRecipient>[]) =>
    await bounces.bounced(
      messageId,
      all.map((each) => ({
        original: null,
        final: '',
        action: 'failed' as const,
        status: '5.1.1',
        reply: null,
        ...each,
      })),
    );
  return {
    said,
    reports,
    /** All groups of fields that were told, as `address action status`. */
    told: () =>
      reports.flatMap((report) =>
        [
          ...report.matchAll(/^Final-Recipient: rfc822; (.*)\r\nAction: (.*)\r\nStatus: (.*)\r$/gm),
        ].map(([, ...fields]) => fields.join(' ')),
      ),
  };
}

const bob = (number: number, notify?: string) => {
  return { address: `bob${number}@far.test`, ...(notify === undefined ? {} : { notify }) };
};

const about = (...numbers: number[]) => numbers.map((number) => ({ final: bob(number).address }));
const long = (number: number) => `${number}${'x'.repeat(1_900)}@far.test`;

test('bounces that come at once and overlap tell of each recipient once', async (t) => {
  const mail = await delivered(
    t,
    [0, 1, 2, 3].map((number) => bob(number)),
  );
  const verdicts = await Promise.all([
    mail.said(...about(0)),
    mail.said(...about(0, 1)),
    mail.said(...about(1, 2, 0)),
    mail.said(...about(3, 2)),
    mail.said(...about(0)),
  ]);
  t.true(verdicts.includes('bounce-reported'));
  t.true(verdicts.every((verdict) => /^bounce-(?:reported|repeated)$/.test(verdict)));
  const wanted = [0, 1, 2, 3].map((number) => `bob${number}@far.test failed 5.1.1`);
  t.deepEqual(mail.told().toSorted(), wanted);
  t.is(await mail.said(...about(3, 1)), 'bounce-repeated');
  t.is(mail.told().length, 4);
});

test('a success is told where it was asked for, once, and a failure behind it all the same', async (t) => {
  const mail = await delivered(t, [
    bob(0, 'SUCCESS,FAILURE'),
    bob(1, 'FAILURE'),
    bob(2),
    bob(3, 'SUCCESS'),
  ]);
  const success = (number: number, action: BouncedRecipient['action'] = 'delivered') => {
    return { final: bob(number).address, action, status: '2.1.5', reply: '250 2.1.5 at 10.0.0.9' };
  };
  t.is(await mail.said(success(1)), 'bounce-unwanted');
  t.is(await mail.said(success(2)), 'bounce-unwanted', 'nobody gets it unasked');
  t.is(await mail.said(success(0), success(1), success(3, 'relayed')), 'success-reported');
  t.is(await mail.said(success(0, 'relayed')), 'bounce-repeated');
  t.is(await mail.said({ final: bob(0).address }), 'bounce-reported', 'an alias failed later');
  t.is(await mail.said({ final: bob(3).address }), 'bounce-unwanted');
  t.deepEqual(mail.told(), [
    'bob0@far.test delivered 2.1.5',
    'bob3@far.test relayed 2.1.5',
    'bob0@far.test failed 5.1.1',
  ]);
  t.notRegex(mail.reports.join(''), /10\.0\.0\.9/, 'where it was delivered is not told');
});

test('the mail server’s own warning of a delay is told once for a mail', async (t) => {
  const mail = await delivered(t, [bob(0), bob(1), bob(2, 'FAILURE')]);
  const late = (number: number) => {
    return { final: bob(number).address, action: 'delayed', status: '4.4.1', reply: null } as const;
  };
  t.is(await mail.said(late(2)), 'bounce-unwanted');
  t.is(await mail.said(late(0)), 'delay-reported');
  t.is(await mail.said(late(0)), 'bounce-repeated');
  t.is(await mail.said(late(1)), 'bounce-repeated', 'its sender knows that it is late');
  t.deepEqual(mail.told(), ['bob0@far.test delayed 4.4.1']);
});

test('a status of another class than what is said is not passed on', async (t) => {
  const mail = await delivered(
    t,
    [0, 1, 2, 3].map((number) => bob(number, 'SUCCESS,FAILURE,DELAY')),
  );
  await mail.said({ final: bob(0).address, action: 'delivered', status: '5.1.1' });
  await mail.said({ final: bob(1).address, action: 'failed', status: '2.0.1' });
  await mail.said({ final: bob(2).address, action: 'failed', status: '4.4.1' });
  await mail.said({ final: bob(3).address, action: 'delayed', status: '5.4.7' });
  t.deepEqual(mail.told(), [
    'bob0@far.test delivered 2.0.0',
    'bob1@far.test failed 5.0.0',
    'bob2@far.test failed 4.4.1',
    'bob3@far.test delayed 4.0.0',
  ]);
});

test('one mail with very many recipients does not fill what all mails have: the last are not remembered', async (t) => {
  const many = Array.from({ length: 200 }, (_, number) => ({ address: long(number) }));
  const mail = await delivered(t, many);
  t.is(await mail.said({ final: long(0) }), 'bounce-reported');
  t.is(await mail.said({ final: long(199) }), 'bounce-foreign');
  t.is(await mail.said({ final: long(45) }), 'bounce-reported');
});
