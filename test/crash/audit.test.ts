/** The audit itself: what is lost, altered, twice and strange is called so, and whose kill explains a second copy. */
import test from 'ava';
import { Ledger, type Kill } from './ledger.ts';
import type { Copy } from './mailboxes.ts';
import { DIRECTIONS, hashOf, mailOf, recognise } from './mails.ts';

const RUN = 'r1';
const NOW_MS = 1_000_000;

function copy(number: number, changes: Partial<Copy> = {}): Copy {
  const { expected } = mailOf(RUN, number, 'small');
  const path = `/mail/${number}`;
  const isReport = false;
  const times = { atMs: NOW_MS + 500, takenAtMs: NOW_MS + 400 };
  return { number, isReport, path, ...times, queueId: 'AA', hash: hashOf(expected), ...changes };
}

function ledgerOf(...numbers: number[]): Ledger {
  const ledger = new Ledger(() => NOW_MS);
  for (const number of numbers) {
    ledger.offer(mailOf(RUN, number, 'small'));
    ledger.accept(number);
  }
  return ledger;
}

test('a mail is made from its number and kind, goes in both directions, and is known again by its bytes', (t) => {
  const [one, again, other] = [
    mailOf(RUN, 7, 'small'),
    mailOf(RUN, 7, 'small'),
    mailOf(RUN, 8, 'small'),
  ];
  t.deepEqual(one, again);
  t.not(one.direction, other.direction);
  t.deepEqual(recognise(RUN, one.expected), { number: 7, isReport: false });
  t.is(recognise('r2', one.expected), null);
  t.true(one.submitted.includes('X-PANORAMIX-Mixable: yes\r\n'));
  t.is(one.submitted.length - one.expected.length, 'X-PANORAMIX-Mixable: yes\r\n'.length);
  const sizes = Array.from({ length: 400 }, (_, i) => mailOf(RUN, i, 'small').expected.length);
  t.true(new Set(sizes).size > 390);
  t.true(mailOf(RUN, 1, 'large').expected.length > 1_000_000);
});

test('what was accepted and lies there once, as it was, is well', (t) => {
  const ledger = ledgerOf(1, 2);
  t.is(ledger.underWay, 2);
  ledger.arrive(copy(1));
  ledger.arrive(copy(2, { atMs: NOW_MS + 9_000 }));
  t.is(ledger.underWay, 0);
  t.like(ledger.verdict([]), { accepted: 2, arrived: 2, lost: [], altered: [], twice: [] });
  t.deepEqual(ledger.verdict([]).lateMs, { p50: 9_000, p95: 9_000, max: 9_000 });
});

test('what is missing is lost, what differs in a byte is altered, what is not ours is a stranger', (t) => {
  const ledger = ledgerOf(1, 2);
  const { expected } = mailOf(RUN, 2, 'small');
  expected[expected.length - 3] = (expected[expected.length - 3] as number) ^ 1;
  ledger.arrive(copy(2, { hash: hashOf(expected) }));
  ledger.arrive(copy(3, { number: null }));
  ledger.arrive(copy(77));
  const verdict = ledger.verdict([]);
  t.deepEqual(verdict.lost, [1]);
  t.deepEqual(verdict.altered, [{ number: 2, path: '/mail/2' }]);
  t.deepEqual(verdict.strangers, ['/mail/3', '/mail/77']);
});

test('what nobody knows to be accepted may arrive or not, but not altered', (t) => {
  const ledger = new Ledger(() => NOW_MS);
  for (const number of [1, 2]) {
    ledger.offer(mailOf(RUN, number, 'small'));
    ledger.leaveUnknown(number);
  }
  ledger.arrive(copy(1, { hash: 'other' }));
  const verdict = ledger.verdict([]);
  t.like(verdict, { accepted: 0, unknown: 2, unknownArrived: 1, lost: [] });
  t.is(verdict.altered.length, 1);
  t.is(ledger.taken, 0);
});

test('a mail to nobody is done with one report, and a report about any other mail is a stranger', (t) => {
  const ledger = ledgerOf(1);
  const failing = mailOf(RUN, 2, 'failing');
  ledger.offer(failing);
  ledger.accept(2);
  const report = Buffer.from(
    `Content-Type: multipart/report; boundary=b\r\nMessage-ID: <report@x>\r\n\r\n${failing.expected.toString('latin1')}`,
  );
  t.deepEqual(recognise(RUN, report), { number: 2, isReport: true });
  t.deepEqual(ledger.verdict([]).lost, [1, 2]);
  ledger.arrive(copy(2, { isReport: true, hash: 'any' }));
  ledger.arrive(copy(1, { isReport: true }));
  const verdict = ledger.verdict([]);
  t.deepEqual(verdict.lost, [1]);
  t.deepEqual(verdict.strangers, ['/mail/1']);
  t.is(ledger.underWay, 1);
});

const { exit } = DIRECTIONS[1] as (typeof DIRECTIONS)[number];
const at = (victim: string, afterMs: number): Kill => ({ victim, atMs: NOW_MS + afterMs });

for (const [what, second, kills, cause] of [
  ['a kill of the exit after it was taken', {}, [at(exit, 900)], 'exit died'],
  ['no kill', {}, [], null],
  ['a kill of the exit long after', {}, [at(exit, 60_000)], null],
  ['a kill of the exit long before', {}, [at(exit, -60_000)], null],
  ['a kill of the entry', {}, [at('beta', 900)], null],
  ['a kill of the Redis of the exit', {}, [at(`${exit}.redis`, 900)], null],
  ['a kill of its Postfix', {}, [at(`${exit}.postfix`, 900)], 'postfix died unheard'],
  [
    'a kill of its Postfix, and one of the exit later',
    {},
    [at(exit, 8_000), at(`${exit}.postfix`, 900)],
    'postfix died unheard',
  ],
  [
    'a kill of the exit, and one of its Postfix later',
    {},
    [at(`${exit}.postfix`, 8_000), at(exit, 900)],
    'exit died',
  ],
  [
    'one mail of the queue, its Postfix killed',
    { queueId: 'AA' },
    [at(`${exit}.postfix`, 2_000)],
    'postfix delivered twice',
  ],
  ['one mail of the queue, the exit killed', { queueId: 'AA' }, [at(exit, 900)], null],
] as const) {
  test(`a second copy after ${what} is laid at the door of ${cause ?? 'nobody'}`, (t) => {
    const ledger = ledgerOf(1);
    ledger.arrive(copy(1));
    ledger.arrive(copy(1, { queueId: 'BB', atMs: NOW_MS + 5_000, ...second }));
    const { twice } = ledger.verdict(kills);
    t.deepEqual(
      twice.map((each) => each.cause),
      [cause],
    );
  });
}
