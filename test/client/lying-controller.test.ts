/**
 * A controller that lies: it alters what an honest one answers, as consistently as it can without the owners'
 * keys. A client that holds only the mix-net URL notices each lie and can name it.
 */
import test from 'ava';
import { canonicalText } from '../../src/api/canonical.ts';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { combinedPeer, type PeerData } from '../../src/api/peer.ts';
import { readMixnetUrl } from '../../src/client/careful.ts';
import type { LieReason } from '../../src/client/verify.ts';
import { native } from '../../src/crypto/native.ts';
import {
  type PrivateController,
  privateController,
  sharedStore,
} from '../controller/private-controller.ts';
import {
  foundMixnet,
  forged,
  type HonestMixnet,
  invented,
  logEntry,
  mallory,
  recordOf,
} from './honest-mixnet.ts';
import { type Alter, carefulBehind } from './hostile-controller.ts';

const store = sharedStore(test);

/** What the honest controller tells, and what a liar has at hand. */
interface Honest {
  readonly mixnet: HonestMixnet;
  readonly peer: PeerData;
  /** A true peer of others. */
  readonly other: PeerData;
  /** Of the founding and of the log, in order. */
  readonly records: readonly [ConsensusRecord, ConsensusRecord, ConsensusRecord];
}

async function honest(bed: PrivateController): Promise<Honest> {
  const mixnet = await foundMixnet(bed, 'ours');
  const others = await foundMixnet(bed, 'theirs');
  const [one] = mixnet.parties;
  const peer = await one.getPeer(mixnet.mixnetId);
  const other = await one.getPeer(others.mixnetId);
  if (!peer || !other) throw new Error('not founded');
  const [founding, first, second] = await Promise.all(
    peer.consensus_logs.map((line) => recordOf(one, line.consensus_id)),
  );
  if (!founding || !first || !second) throw new Error('no log');
  return { mixnet, peer, other, records: [founding, first, second] };
}

type Lie = (truth: Honest) => Alter | Promise<Alter>;

/** Says of the peer something else. */
const ofPeer =
  (change: (peer: PeerData, truth: Honest) => PeerData): Lie =>
  (truth) =>
  (answer, path) =>
    path.startsWith(`peers/${truth.mixnet.mixnetId}`)
      ? { data: change(truth.peer, truth) }
      : answer;

/** Shows another record for a line of the log, and names its consensus in the line, so that both fit. */
const ofRecord =
  (line: 0 | 1 | 2, change: (record: ConsensusRecord, truth: Honest) => ConsensusRecord): Lie =>
  (truth) => {
    const shown = change(truth.records[line], truth);
    const lines = truth.peer.consensus_logs.with(line, {
      timestamp: shown.timestamp,
      status: 'READY',
      consensus_id: shown.consensus,
    });
    return (answer, path) => {
      if (path.startsWith('peers/')) return { data: { ...truth.peer, consensus_logs: lines } };
      return path === `negotiations/${shown.consensus}` ? { data: shown } : answer;
    };
  };

/** Shows a record for the same consensus id. */
const ofSameId =
  (change: (record: ConsensusRecord, truth: Honest) => object): Lie =>
  (truth) =>
  (answer, path) =>
    path === `negotiations/${truth.records[0].consensus}`
      ? { data: change(truth.records[0], truth) }
      : answer;

const mallorys = (peer: PeerData): PeerData => ({
  ...peer,
  owners: [...peer.owners.slice(1), { owner_key_id: mallory.peerId }].toSorted((left, right) =>
    left.owner_key_id < right.owner_key_id ? -1 : 1,
  ),
});

const swappedTerms = (peer: PeerData, change: object): string =>
  canonicalText({ ...(JSON.parse(peer.key_data) as object), ...change });

const lastOf = ({ records }: Honest): string => records[1].consensus;

const lies: readonly (readonly [string, Lie, LieReason])[] = [
  ['another peer, and a true one', ofPeer((_, { other }) => other), 'peer-foreign'],
  [
    'another peer under this id',
    ofPeer((peer, { other }) => ({ ...other, key_id: peer.key_id })),
    'founding-mismatch',
  ],
  ['an owner swapped', ofPeer(mallorys), 'owners-mismatch'],
  [
    'an owner swapped in the founding text too',
    ofPeer((peer) => {
      const owners = mallorys(peer).owners;
      const keys = owners.map((owner) => owner.owner_key_id);
      return { ...peer, owners, key_data: swappedTerms(peer, { owners: keys }) };
    }),
    'founding-mismatch',
  ],
  [
    'one owner alone',
    ofPeer((peer) => ({ ...peer, owners: peer.owners.slice(1) })),
    'owners-mismatch',
  ],
  ['no owners', ofPeer((peer) => ({ ...peer, owners: [] })), 'owners-mismatch'],
  [
    'a weaker rule',
    ofPeer((peer) => ({ ...peer, key_data: swappedTerms(peer, { rule: { m: 1, n: 2 } }) })),
    'founding-mismatch',
  ],
  [
    'the key of a peer without owners',
    ofPeer((peer) => ({ ...peer, key_data: peer.key_id, key_type: 27, owners: [] })),
    'fields-mismatch',
  ],
  ['another name', ofPeer((peer) => ({ ...peer, name: 'mine' })), 'fields-mismatch'],
  ['other parameters', ofPeer((peer) => ({ ...peer, key_type_params: '{}' })), 'fields-mismatch'],
  ['another status', ofPeer((peer) => ({ ...peer, status: 'GONE' })), 'fields-mismatch'],

  ['no log', ofPeer((peer) => ({ ...peer, consensus_logs: [] })), 'log-missing'],
  [
    'a log without the founding',
    ofPeer((peer) => ({ ...peer, consensus_logs: peer.consensus_logs.slice(1) })),
    'change-foreign',
  ],
  [
    'a log without its middle',
    ofPeer((peer) => ({ ...peer, consensus_logs: peer.consensus_logs.toSpliced(1, 1) })),
    'chain-broken',
  ],
  [
    'a log in another order',
    ofPeer((peer) => {
      const [founding, first, second] = peer.consensus_logs;
      return { ...peer, consensus_logs: [founding, second, first] as PeerData['consensus_logs'] };
    }),
    'chain-broken',
  ],
  [
    'a change twice',
    ofPeer((peer) => ({
      ...peer,
      consensus_logs: [...peer.consensus_logs, ...peer.consensus_logs.slice(-1)],
    })),
    'chain-broken',
  ],
  [
    'a change of another peer',
    ofPeer((peer, { other }) => ({
      ...peer,
      consensus_logs: [...peer.consensus_logs, ...other.consensus_logs.slice(-1)],
    })),
    'change-foreign',
  ],
  [
    'another time',
    ofPeer((peer) => ({
      ...peer,
      consensus_logs: peer.consensus_logs.map((line) => ({
        ...line,
        timestamp: '2026-01-01T00:00:00.000Z',
      })),
    })),
    'timestamp-mismatch',
  ],
  [
    'a decision that nobody can see',
    ofPeer((peer) => ({
      ...peer,
      consensus_logs: peer.consensus_logs.map((line) => ({
        ...line,
        consensus_id: '7'.repeat(64),
      })),
    })),
    'record-missing',
  ],

  ['another true record', ofSameId((_, { records }) => records[1]), 'record-foreign'],
  [
    'a record of another time',
    ofSameId((record) => ({ ...record, timestamp: '2026-01-01T00:00:00.000Z' })),
    'consensus-id-wrong',
  ],
  [
    'a record of another text',
    ofSameId((record) => ({ ...record, text: record.text.replace('READY', 'GONE') })),
    'consensus-id-wrong',
  ],
  [
    'an open negotiation',
    ofSameId(({ id }) => ({
      id,
      text: null,
      status: 'OPEN',
      timestamp: null,
      consensus: null,
      signings: [],
    })),
    'record-malformed',
  ],
  [
    'an accepted text moved to another negotiation',
    ofRecord(0, (record) => forged(record, { id: 'M'.repeat(43) })),
    'negotiation-foreign',
  ],
  [
    'a record of another text, with the id that fits',
    ofRecord(0, (record) => forged(record, { text: record.text.replace('READY', 'GONE') })),
    'signature-invalid',
  ],
  [
    'a record that one owner has not signed',
    ofRecord(0, (record) => forged(record, { signings: record.signings.slice(1) })),
    'signer-missing',
  ],
  [
    'a signature in the name of the other owner',
    ofRecord(0, (record) => {
      const signature = record.signings[0]?.signature ?? '';
      return forged(record, { signings: record.signings.map((one) => ({ ...one, signature })) });
    }),
    'signature-invalid',
  ],
  [
    'a text that was not accepted',
    ofRecord(0, (record) =>
      forged(record, { text: record.text.replace('"accept":true', '"accept":false') }),
    ),
    'not-accepted',
  ],
  [
    'a text that is none',
    ofRecord(0, (record) => forged(record, { text: '{}' })),
    'text-malformed',
  ],
  [
    'a founding by a stranger',
    ofRecord(0, (record, { peer }) => {
      const { consensus_logs: _, ...data } = peer;
      const info = { resource: 'peer', operation: 'create' };
      return invented([mallory], { data, info }, record.timestamp);
    }),
    'signer-unknown',
  ],
  [
    'a founding by one owner alone',
    ofRecord(0, (record, { peer, mixnet }) => {
      const { consensus_logs: _, ...data } = peer;
      const info = { resource: 'peer', operation: 'create' };
      return invented([mixnet.parties[0].identity], { data, info }, record.timestamp);
    }),
    'rule-not-met',
  ],
  [
    'a founding of something else by all',
    ofRecord(0, (record, { mixnet }) => {
      const data = { ...combinedPeer(native, termsOf(mixnet)), name: 'other' };
      const info = { resource: 'peer', operation: 'create' };
      const keys = mixnet.parties.map((party) => party.identity);
      return invented(keys, { data, info }, record.timestamp);
    }),
    'change-foreign',
  ],
  [
    'a change by a stranger',
    ofRecord(2, (record, truth) =>
      invented([mallory], changeAfter(truth, record), record.timestamp),
    ),
    'signer-unknown',
  ],
  [
    'a change by one owner alone',
    ofRecord(2, (record, truth) =>
      invented([truth.mixnet.parties[1].identity], changeAfter(truth, record), record.timestamp),
    ),
    'rule-not-met',
  ],
];

function termsOf(mixnet: HonestMixnet) {
  const owners = mixnet.parties.map((party) => party.identity.peerId).toSorted();
  return { name: 'ours', backend: 'SPHINXMIX', params: {}, owners, rule: 'all' as const };
}

/** A change that follows the first one as the true second does. */
function changeAfter(truth: Honest, record: ConsensusRecord) {
  const { data } = JSON.parse(record.text) as { data: { log: { previous: string } } };
  return logEntry(truth.mixnet.mixnetId, data.log.previous, lastOf(truth), 'mine');
}

test('what an honest controller tells is believed, from the mix-net URL alone', async (t) => {
  const bed = await privateController(t, store());
  const truth = await honest(bed);
  const client = await carefulBehind(t, bed.url, truth.mixnet.mixnetId, (answer) => answer);
  const peer = await client.peer();
  t.is(peer.name, 'ours');
  t.deepEqual(peer.owners, truth.mixnet.parties.map((party) => party.identity.peerId).toSorted());
  const alone = truth.mixnet.parties[0].identity.peerId;
  const single = await carefulBehind(t, bed.url, alone, (answer) => answer);
  t.deepEqual((await single.peer()).owners, [alone]);
});

for (const [what, lie, reason] of lies) {
  test(`a controller that shows ${what} is caught: ${reason}`, async (t) => {
    const bed = await privateController(t, store());
    const truth = await honest(bed);
    const client = await carefulBehind(t, bed.url, truth.mixnet.mixnetId, await lie(truth));
    await t.throwsAsync(client.peer(), {
      code: 'controller-lies',
      message: new RegExp(`: ${reason}$`),
    });
  });
}

test('a mix-net URL is read in any spelling, and nothing else is one', (t) => {
  const id = 'a'.repeat(64);
  for (const [url, controllerUrl] of [
    [`http://127.0.0.1:8000/panoramix/peers/${id}/`, 'http://127.0.0.1:8000/'],
    [`https://mix.example/below/panoramix/peers/${id}`, 'https://mix.example/below/'],
  ] as const) {
    t.deepEqual(readMixnetUrl(url), { controllerUrl, mixnetId: id });
  }
  for (const url of [
    '',
    id,
    `ftp://h/panoramix/peers/${id}`,
    `http://h/panoramix/peers/${id}/x`,
    `http://h/peers/${id}`,
    `http://h/panoramix/peers/${id.slice(1)}`,
    `http://h/?panoramix/peers/${id}`,
  ]) {
    t.is(readMixnetUrl(url), null, url);
  }
});
