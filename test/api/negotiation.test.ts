import test from 'ava';
import { canonicalText } from '../../src/api/canonical.ts';
import {
  acceptedText,
  checkContribution,
  contributionText,
  parseContributionText,
} from '../../src/api/contribution.ts';
import {
  agreedPart,
  consensusId,
  type ConsensusReason,
  type ConsensusRecord,
  verifyConsensus,
} from '../../src/api/negotiation.ts';
import { hashText, signText } from '../../src/api/signed.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';

const NEGOTIATION = 'N7IjtRZic-RqBE-taxexT0N7IjtRZic-RqBE-taxexT';
const NEXT = '2neqolRkF20im6LYz8l-2neqolRkF20im6LYz8l-abc';
const TIME = '2026-11-22T12:00:00.000Z';
const NOW_MS = Date.parse(TIME);
const parties = [createIdentity(native), createIdentity(native)].toSorted((left, right) =>
  left.peerId < right.peerId ? -1 : 1,
);
const keys = parties.map((party) => party.peerId);
const proposal = {
  data: { name: 'a peer' },
  info: { resource: 'peer', operation: 'create' },
  meta: {
    accept: false,
    signers: [],
    negotiation_id: NEGOTIATION,
    round: 1,
    time: TIME,
    next_negotiation_id: NEXT,
    invitation: 'a'.repeat(64),
  },
};

test('the accepted text names all signers and hides the next negotiation', (t) => {
  const text = acceptedText(native, proposal, keys.toReversed());
  const body = parseContributionText(text);
  t.deepEqual(body?.meta, {
    accept: true,
    signers: keys,
    negotiation_id: NEGOTIATION,
    round: 1,
    time: TIME,
    next_negotiation_hash: hashText(native, NEXT),
  });
  t.deepEqual(body?.data, proposal.data);
  t.false(text.includes(NEXT));
});

test('a record of what all have signed convinces', (t) => {
  const verified = verifyConsensus(native, recordOf(acceptedText(native, proposal, keys)));
  t.true(verified.ok);
  if (!verified.ok) return;
  t.deepEqual(verified.consensus.signers, keys);
  t.deepEqual(verified.consensus.body.data, proposal.data);
});

type Alter = (record: ConsensusRecord) => unknown;
const refused: readonly (readonly [string, Alter, ConsensusReason])[] = [
  ['no record at all', () => 'DONE', 'record-malformed'],
  ['an open negotiation', (record) => ({ ...record, status: 'OPEN' }), 'record-malformed'],
  ['a field more', (record) => ({ ...record, more: 1 }), 'record-malformed'],
  ['no signature', (record) => ({ ...record, signings: [] }), 'record-malformed'],
  ['a signer twice', (record) => twice(record), 'record-malformed'],
  ['signings not sorted', (record) => turned(record), 'record-malformed'],
  [
    'a text that is not canonical',
    (record) => renamed({ ...record, text: ` ${record.text}` }),
    'text-malformed',
  ],
  [
    'a text that nobody accepted',
    () => recordOf(contributionText({ ...proposal, meta: { ...proposal.meta, signers: [] } })),
    'not-accepted',
  ],
  [
    'a text for another negotiation',
    (record) => renamed({ ...record, id: NEXT }),
    'negotiation-foreign',
  ],
  [
    'a signer left out',
    (record) => renamed({ ...record, signings: record.signings.slice(1) }),
    'signer-missing',
  ],
  [
    'another timestamp',
    (record) => ({ ...record, timestamp: '2026-11-22T12:00:00.001Z' }),
    'consensus-id-wrong',
  ],
  ['a signature of somebody else', (record) => renamed(exchanged(record)), 'signature-invalid'],
  [
    'another text under the same signatures',
    (record) => renamed({ ...record, text: record.text.replace('a peer', 'b peer') }),
    'signature-invalid',
  ],
];

for (const [what, alter, reason] of refused) {
  test(`a record does not convince with ${what}`, (t) => {
    const record = recordOf(acceptedText(native, proposal, keys));
    t.true(verifyConsensus(native, record).ok);
    t.deepEqual(verifyConsensus(native, alter(record)), { ok: false, reason });
  });
}

test('a contribution is checked by itself: signature, text, negotiation, expiry', (t) => {
  const author = parties[0] as Identity;
  const expires = new Date(NOW_MS + 1000).toISOString();
  const text = contributionText({ ...proposal, meta: { ...proposal.meta, expires } });
  const sent = {
    negotiation_id: NEGOTIATION,
    text,
    signature: signText(native, author, text),
    signer_key_id: author.peerId,
  };
  const reasonOf = (altered: Partial<typeof sent>, nowMs = NOW_MS): string => {
    const checked = checkContribution(native, { ...sent, ...altered }, nowMs);
    return checked.ok ? 'ok' : checked.reason;
  };
  t.is(reasonOf({}), 'ok');
  t.is(reasonOf({ signer_key_id: keys[1] as string }), 'signature-invalid');
  t.is(reasonOf({ negotiation_id: NEXT }), 'contribution-foreign');
  t.is(reasonOf({}, NOW_MS + 1000), 'contribution-expired');
  for (const malformed of [` ${text}`, 'no json', '{"data":{}}', canonicalText({ data: 1 })]) {
    const signature = signText(native, author, malformed);
    t.is(reasonOf({ text: malformed, signature }), 'contribution-malformed');
  }
});

test('one part of a list of agreed bodies is applied by itself', (t) => {
  const lists = { data: [1, 2], info: ['a', 'b'] };
  t.deepEqual(agreedPart(lists, 1), { data: 2, info: 'b' });
  t.is(agreedPart(lists, 2), null);
  t.is(agreedPart(lists, undefined), null);
  t.is(agreedPart({ data: [1], info: 'a' }, 0), null);
  t.is(agreedPart({ data: [1], info: [] }, 0), null);
  t.deepEqual(agreedPart({ data: 1, info: 'a' }, undefined), { data: 1, info: 'a' });
  t.is(agreedPart({ data: 1, info: 'a' }, 0), null);
});

function recordOf(text: string): ConsensusRecord {
  const signings = parties.map((party) => ({
    signer_key_id: party.peerId,
    signature: signText(native, party, text),
  }));
  return renamed({
    id: NEGOTIATION,
    text,
    status: 'DONE',
    timestamp: TIME,
    consensus: '',
    signings,
  });
}

/** With the consensus id that fits, so that the check behind it is the one that refuses. */
function renamed(record: ConsensusRecord): ConsensusRecord {
  return { ...record, consensus: consensusId(native, record) };
}

function twice(record: ConsensusRecord): ConsensusRecord {
  const [first] = record.signings;
  return renamed({ ...record, signings: first ? [first, ...record.signings] : [] });
}

function turned(record: ConsensusRecord): ConsensusRecord {
  return renamed({ ...record, signings: record.signings.toReversed() });
}

function exchanged(record: ConsensusRecord): ConsensusRecord {
  const signatures = record.signings.map((one) => one.signature).toReversed();
  const signings = record.signings.map((one, index) => ({
    ...one,
    signature: signatures[index] ?? '',
  }));
  return { ...record, signings };
}
