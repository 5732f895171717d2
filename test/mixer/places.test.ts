import test from 'ava';
import { hashText } from '../../src/api/signed.ts';
import type { Meeting, Statement } from '../../src/client/meeting.ts';
import { native } from '../../src/crypto/native.ts';
import {
  hasRunOut,
  highestNumber,
  isUsable,
  meetingsInOrder,
  placesAfter,
} from '../../src/mixer/places.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import { paperMixnet } from '../mixnet/signed-directory.ts';

const [one, two, three] = ['1', '2', '3'].map((digit) => digit.repeat(64)) as [
  string,
  string,
  string,
];
const [A, B, C, HERE] = ['A', 'B', 'C', 'H'].map((letter) => letter.repeat(43)) as [
  string,
  string,
  string,
  string,
];
const NOW_MS = Date.parse('2026-03-01T12:00:00.000Z');

function said(
  signer: string,
  over: Partial<Statement> & { readonly meta?: object } = {},
): Statement {
  const { meta, ...rest } = over;
  return {
    id: 1,
    signer,
    text: '',
    latest: true,
    accepts: false,
    body: {
      data: {},
      info: {},
      meta: {
        accept: false,
        signers: [],
        negotiation_id: HERE,
        round: 1,
        time: new Date(NOW_MS).toISOString(),
        ...meta,
      },
    },
    ...rest,
  };
}

function meetingOf(...statements: Statement[]): Meeting {
  return { negotiationId: HERE, consensus: null, statements };
}

test('what the agreed text names comes first, then what others proposed, by peer id; each a number on', (t) => {
  const meeting = meetingOf(
    said(three, { meta: { next_negotiation_id: C } }),
    said(one, { meta: { next_negotiation_id: A } }),
    said(two, { meta: { next_negotiation_id: B } }),
    // Who proposes more than one has but one place.
    said(one, { meta: { next_negotiation_id: 'Z'.repeat(43) } }),
  );
  const agreed = said(one, { meta: { next_negotiation_hash: hashText(native, C) } }).body;
  t.deepEqual(placesAfter(native, meeting, agreed, 7), [
    { negotiation_id: C, number: 8 },
    { negotiation_id: A, number: 9 },
    { negotiation_id: B, number: 10 },
  ]);
});

test('an agreed text that names nothing, or itself, leaves what the others proposed', (t) => {
  const meeting = meetingOf(
    said(one, { meta: { next_negotiation_id: HERE } }),
    said(two, { meta: { next_negotiation_id: B } }),
  );
  for (const hash of ['f'.repeat(64), hashText(native, HERE)]) {
    const agreed = said(one, { meta: { next_negotiation_hash: hash } }).body;
    t.deepEqual(placesAfter(native, meeting, agreed, 1), [{ negotiation_id: B, number: 2 }]);
  }
});

/** An accepted text of a snapshot. */
function signedText(signer: string, expiresMs: number, number = 2): Statement {
  const text = said(signer, { accepts: true });
  const expires = new Date(expiresMs).toISOString();
  return {
    ...text,
    body: { ...text.body, data: { snapshot: { number } }, meta: { ...text.body.meta, expires } },
  };
}

test('an attempt has run out when every first text of an owner for its number has', (t) => {
  const owners = [one, two];
  const over = signedText(one, NOW_MS - 1);
  const runs = signedText(two, NOW_MS + 1);
  const ran = (...statements: Statement[]): boolean =>
    hasRunOut(meetingOf(...statements), owners, 2, NOW_MS);
  t.false(ran());
  t.false(ran(said(one)));
  t.true(ran(over));
  t.false(ran(over, runs));
  t.true(ran(signedText(two, NOW_MS), over));
  t.true(ran(over, signedText(one, NOW_MS + 1)), 'a second text of one owner prolongs nothing');
  t.false(ran(signedText(three, NOW_MS - 1)), 'a stranger ends nothing');
  t.false(ran(signedText(one, NOW_MS - 1, 3)), 'nor does a text of another number');
  const endless = signedText(two, NOW_MS + 7 * 86_400_000);
  t.true(ran(over, endless), 'a text that nobody may sign prolongs nothing');
  t.false(ran(endless), 'nor does it end anything');
});

test('a negotiation can be used that is open among just the owners, by just their rule', (t) => {
  const mixnet = paperMixnet();
  const read = readFoundation(mixnet.nodes, mixnet.mixnetId, native);
  if (!read.ok) return t.fail(read.reason);
  const ground = { terms: read.foundation.present };
  const signers = [...ground.terms.owners];
  const open = {
    id: HERE,
    text: null,
    status: 'OPEN',
    timestamp: null,
    consensus: null,
    signings: [],
  } as const;
  t.true(isUsable({ ...open, signings: [], signers, needed: 2 }, ground));
  t.false(isUsable({ ...open, signings: [], signers, needed: 3 }, ground));
  t.false(isUsable({ ...open, signings: [], signers, needed: 1 }, ground));
  t.false(isUsable({ ...open, signings: [], signers: signers.slice(1), needed: 2 }, ground));
  const required = signers.slice(0, 1);
  t.false(isUsable({ ...open, signings: [], signers, needed: 2, required }, ground));
  t.false(isUsable({ ...open, signings: [] }, ground));
  return t.false(isUsable(null, ground));
});

test('owners meet at the highest number that somebody names, within reason', (t) => {
  const time = new Date(NOW_MS).toISOString();
  const at = (owner: string, negotiation_id: string, number: number) => {
    return { owner, negotiation_id, number, time };
  };
  const places = [at(two, B, 8), at(one, A, 8), at(three, C, 9), at(one, HERE, 5)];
  const order = meetingsInOrder(places, [one, two, three], 5, 9);
  t.deepEqual(
    order.map(({ negotiation_id: id }) => id),
    [C, A, B],
  );
  t.deepEqual(meetingsInOrder(places, [two], 5, 9), [at(two, B, 8)]);
  t.deepEqual(meetingsInOrder([at(one, A, 10)], [one], 5, 9), []);
});

test('who was lured to the highest number and signed it in vain is met at the next one a second later', (t) => {
  const last = { number: 5, validFromMs: NOW_MS - 3_600_000 };
  const lured = highestNumber(last, NOW_MS);
  t.true(lured >= last.number + 1_000_000);
  t.true(highestNumber(last, NOW_MS + 1_000) > lured);
  t.true(highestNumber(null, NOW_MS + 1_000) > highestNumber(null, NOW_MS));
  t.true(highestNumber(null, NOW_MS) < Number.MAX_SAFE_INTEGER / 1_000, 'it lasts for ever');
  t.is(highestNumber(last, 0), 1_000_005, 'a clock that was set back takes nothing away');
});
