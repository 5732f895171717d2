/** Lies about a batch endpoint of two owners and about its boxes, after a whole cycle: each is caught by name. */
import test from 'ava';
import { canonicalText } from '../../src/api/canonical.ts';
import type { EndpointData } from '../../src/api/endpoint.ts';
import { type MessageData, messageHash } from '../../src/api/message.ts';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import type { LieReason } from '../../src/client/verify.ts';
import type { Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  type PrivateController,
  privateController,
  sharedStore,
} from '../controller/private-controller.ts';
import {
  foundMixnet,
  forged,
  gatewayOf,
  type HonestMixnet,
  invented,
  mallory,
  openGateway,
  recordOf,
  runCycle,
  transition,
} from './honest-mixnet.ts';
import { type Alter, carefulBehind } from './hostile-controller.ts';

const store = sharedStore(test);

interface Honest {
  readonly mixnet: HonestMixnet;
  /** After a cycle: OPEN, CLOSED, PROCESSED in its log. */
  readonly endpoint: EndpointData;
  readonly other: EndpointData;
  readonly records: readonly [ConsensusRecord, ConsensusRecord, ConsensusRecord];
  readonly accepted: readonly string[];
  readonly published: readonly string[];
  /** A closing below `size_min` that both owners have signed, and that no honest controller carries out. */
  readonly tooSmall: ConsensusRecord;
}

async function honest(bed: PrivateController): Promise<Honest> {
  const mixnet = await foundMixnet(bed, 'ours');
  const [one] = mixnet.parties;
  const cycle = await runCycle(
    mixnet,
    'gateway',
    await openGateway(mixnet, gatewayOf(mixnet, 'gateway')),
  );
  await openGateway(mixnet, gatewayOf(mixnet, 'other'));
  const endpoint = await one.getEndpoint('gateway');
  const other = await one.getEndpoint('other');
  if (!endpoint || !other) throw new Error('not opened');
  const ids = endpoint.consensus_logs.map((line) => line.consensus_id);
  const [opened, closed, processed] = await Promise.all(ids.map((id) => recordOf(one, id)));
  if (!opened || !closed || !processed) throw new Error('no cycle');
  const small = { endpoint_id: 'gateway', status: 'CLOSED', message_hashes: ['7'.repeat(64)] };
  const decided = await agreeTogether(mixnet.parties, {
    data: small,
    info: transition(opened.consensus),
  });
  const tooSmall = await recordOf(one, decided);
  return { mixnet, endpoint, other, records: [opened, closed, processed], ...cycle, tooSmall };
}

type Lie = (truth: Honest) => Alter;

const ofEndpoint =
  (change: (endpoint: EndpointData, truth: Honest) => EndpointData): Lie =>
  (truth) =>
  (answer, path) =>
    path.startsWith('endpoints/gateway') ? { data: change(truth.endpoint, truth) } : answer;

/** Shows another record for a line of the log, and an endpoint that fits it. */
const ofRecord =
  (
    line: 0 | 1 | 2,
    change: (record: ConsensusRecord, truth: Honest) => ConsensusRecord,
    fitting: (endpoint: EndpointData) => EndpointData = (endpoint) => endpoint,
  ): Lie =>
  (truth) => {
    const shown = change(truth.records[line], truth);
    const status = truth.endpoint.consensus_logs[line]?.status ?? '';
    const { timestamp, consensus: consensus_id } = shown;
    const lines = truth.endpoint.consensus_logs.with(line, { timestamp, status, consensus_id });
    return (answer, path) => {
      if (path.startsWith('endpoints/gateway')) {
        return { data: fitting({ ...truth.endpoint, consensus_logs: lines }) };
      }
      return path === `negotiations/${consensus_id}` ? { data: shown } : answer;
    };
  };

const withLog = (
  change: (log: EndpointData['consensus_logs'], truth: Honest) => EndpointData['consensus_logs'],
): Lie =>
  ofEndpoint((endpoint, truth) => ({
    ...endpoint,
    consensus_logs: change(endpoint.consensus_logs, truth),
  }));

/** Parameters with a key of the liar's in the place of the first owner's. */
function withKey(endpoint: EndpointData): string {
  const params = JSON.parse(endpoint.endpoint_params) as { links: { public: string }[] };
  return canonicalText({
    ...params,
    links: params.links.with(0, { ...params.links[0], public: mallory.peerId }),
  });
}

const swapKey = (endpoint: EndpointData): EndpointData => ({
  ...endpoint,
  endpoint_params: withKey(endpoint),
});

/** An opening with the liar's key that some have signed. */
const openedBy = (signers: (truth: Honest) => readonly Identity[]): Lie =>
  ofRecord(
    0,
    (record, truth) => {
      const { data, info } = JSON.parse(record.text) as { data: object; info: object };
      const body = { data: { ...data, endpoint_params: withKey(truth.endpoint) }, info };
      return invented(signers(truth), body, record.timestamp);
    },
    swapKey,
  );

const endpointLies: readonly (readonly [string, Lie, LieReason])[] = [
  ['another endpoint', ofEndpoint((_, { other }) => other), 'endpoint-foreign'],
  [
    'an endpoint of another peer',
    ofEndpoint((endpoint) => ({ ...endpoint, peer_id: mallory.peerId })),
    'endpoint-foreign',
  ],
  ['a key swapped in the parameters', ofEndpoint(swapKey), 'endpoint-mismatch'],
  [
    'a key swapped in the agreed text too',
    ofRecord(
      0,
      (record, { endpoint }) => {
        const swapped = JSON.stringify(withKey(endpoint));
        const agreed = JSON.stringify(endpoint.endpoint_params);
        return forged(record, { text: record.text.replace(agreed, () => swapped) });
      },
      swapKey,
    ),
    'signature-invalid',
  ],
  ['a key swapped, and signed by the liar', openedBy(() => [mallory]), 'signer-unknown'],
  [
    'a key swapped, and signed by one owner',
    openedBy(({ mixnet }) => [mixnet.parties[0].identity]),
    'rule-not-met',
  ],
  [
    'a smaller least size',
    ofEndpoint((endpoint) => ({ ...endpoint, size_min: 1 })),
    'endpoint-mismatch',
  ],
  [
    'another type',
    ofEndpoint((endpoint) => ({ ...endpoint, endpoint_type: 'X' })),
    'endpoint-mismatch',
  ],
  [
    'other readers',
    ofEndpoint((endpoint) => ({ ...endpoint, public: false })),
    'endpoint-mismatch',
  ],
  [
    'other posters',
    ofEndpoint((endpoint) => ({ ...endpoint, senders: 'anyone' })),
    'endpoint-mismatch',
  ],
  [
    'another description',
    ofEndpoint((endpoint) => ({ ...endpoint, description: '' })),
    'endpoint-mismatch',
  ],

  [
    'another status',
    ofEndpoint((endpoint) => ({ ...endpoint, status: 'OPEN' })),
    'status-mismatch',
  ],
  ['no log', withLog(() => []), 'log-missing'],
  ['no opening', withLog((log) => log.slice(1)), 'change-foreign'],
  ['no closing', withLog((log) => log.toSpliced(1, 1)), 'chain-broken'],
  ['a closing twice', withLog((log) => [...log.slice(0, 2), ...log.slice(1)]), 'chain-broken'],
  [
    'another status in a line',
    withLog((log) => log.map((line) => ({ ...line, status: 'OPEN' }))),
    'status-mismatch',
  ],
  [
    'the opening of another endpoint',
    withLog((log, { other }) => [...other.consensus_logs, ...log.slice(1)]),
    'change-foreign',
  ],
  [
    'a transition that nobody agreed on',
    ofRecord(1, (record, { tooSmall }) => forged(tooSmall, { id: record.id })),
    'negotiation-foreign',
  ],
  [
    'a closing below the least size, that the owners signed and no honest controller carries out',
    ofRecord(1, (_, { tooSmall }) => tooSmall),
    'size-mismatch',
  ],
  [
    'a closing by one owner',
    ofRecord(1, (record, { mixnet }) =>
      invented([mixnet.parties[0].identity], bodyOf(record), record.timestamp),
    ),
    'rule-not-met',
  ],
  [
    'a closing by a stranger',
    ofRecord(1, (record) => invented([mallory], bodyOf(record), record.timestamp)),
    'signer-unknown',
  ],
  [
    'an inbox hash swapped',
    ofEndpoint((endpoint) => ({ ...endpoint, inbox_hash: '7'.repeat(64) })),
    'inbox-hash-mismatch',
  ],
  [
    'no inbox hash',
    ofEndpoint((endpoint) => ({ ...endpoint, inbox_hash: undefined })),
    'inbox-hash-mismatch',
  ],
  [
    'an outbox hash swapped',
    ofEndpoint((endpoint) => ({ ...endpoint, outbox_hash: endpoint.inbox_hash })),
    'outbox-hash-mismatch',
  ],
  [
    'a proof swapped',
    ofEndpoint((endpoint) => ({ ...endpoint, process_proof: 'another' })),
    'proof-mismatch',
  ],
  [
    'a cycle that is not over',
    ofEndpoint((endpoint) => ({
      ...endpoint,
      outbox_hash: undefined,
      process_proof: undefined,
      status: 'CLOSED',
      consensus_logs: endpoint.consensus_logs.slice(0, 2),
      inbox_hash: '7'.repeat(64),
    })),
    'inbox-hash-mismatch',
  ],
];

function bodyOf(record: ConsensusRecord): { readonly data: unknown; readonly info: unknown } {
  const { data, info } = JSON.parse(record.text) as { data: unknown; info: unknown };
  return { data, info };
}

for (const [what, lie, reason] of endpointLies) {
  test(`a controller that shows ${what} is caught: ${reason}`, async (t) => {
    const bed = await privateController(t, store());
    const truth = await honest(bed);
    const client = await carefulBehind(t, bed.url, truth.mixnet.mixnetId, lie(truth));
    await t.throwsAsync(client.endpoint('gateway'), {
      code: 'controller-lies',
      message: new RegExp(`: ${reason}$`),
    });
  });
}

type Listed = { readonly data: MessageData }[];

/** Changes what is listed, on every page of the box. */
const listing =
  (change: (list: Listed) => Listed): Alter =>
  (answer, path) =>
    path.startsWith('messages') && path.includes('after=0') ? change(answer as Listed) : answer;

const onFirst = (change: (message: MessageData) => MessageData): Alter =>
  listing(([first, ...rest]) => (first ? [{ data: change(first.data) }, ...rest] : rest));

/** A message with its hash made to fit. */
function hashed(message: MessageData): MessageData {
  const box = message.box === 'OUTBOX' ? 'PROCESSBOX' : 'INBOX';
  return { ...message, message_hash: messageHash(native, { ...message, box }) };
}

const boxLies: readonly (readonly [string, Alter, LieReason])[] = [
  ['another text', onFirst((one) => ({ ...one, text: 'lie' })), 'message-hash-wrong'],
  [
    'another recipient',
    onFirst((one) => ({ ...one, recipient: mallory.peerId })),
    'message-hash-wrong',
  ],
  ['another sender', onFirst((one) => ({ ...one, sender: mallory.peerId })), 'message-hash-wrong'],
  ['another serial', onFirst((one) => ({ ...one, serial: '0'.repeat(32) })), 'message-hash-wrong'],
  [
    'the hash of another message',
    listing((list) => {
      const hash = list[1]?.data.message_hash ?? '';
      return list.map(({ data }) => ({ data: { ...data, message_hash: hash } }));
    }),
    'message-hash-wrong',
  ],
  [
    'another text with the hash that fits',
    onFirst((one) => hashed({ ...one, text: 'lie' })),
    'message-unexpected',
  ],
  [
    'a message more',
    listing((list) => [
      ...list,
      ...list.slice(0, 1).map(({ data }) => ({ data: hashed({ ...data, id: 99, text: 'more' }) })),
    ]),
    'message-unexpected',
  ],
  ['a message less', listing((list) => list.slice(1)), 'message-missing'],
  ['no message', listing(() => []), 'message-missing'],
  [
    'a message twice',
    listing(([first, second]) =>
      first && second ? [first, { data: { ...first.data, id: second.data.id } }] : [],
    ),
    'message-repeated',
  ],
  [
    'ids in another order',
    listing((list) => list.map(({ data }, index) => ({ data: { ...data, id: 2 - index } }))),
    'message-order',
  ],
];

test('what an honest controller tells of a cycle is believed, boxes and all', async (t) => {
  const bed = await privateController(t, store());
  const truth = await honest(bed);
  const { mixnetId, parties } = truth.mixnet;
  const client = await carefulBehind(t, bed.url, mixnetId, (answer) => answer);
  const endpoint = await client.endpoint('gateway');
  t.is(endpoint.status, 'PROCESSED');
  t.deepEqual([endpoint.accepted, endpoint.published], [truth.accepted, truth.published]);
  t.deepEqual(
    (await client.box('gateway', 'OUTBOX')).map((message) => message.messageHash).toSorted(),
    truth.published,
  );
  const { identity } = parties[1];
  const owner = await carefulBehind(t, bed.url, mixnetId, (answer) => answer, identity);
  t.deepEqual(
    (await owner.box('gateway', 'ACCEPTED')).map((message) => message.messageHash).toSorted(),
    truth.accepted,
  );
  t.deepEqual(await owner.box('other', 'ACCEPTED'), []);
});

for (const box of ['ACCEPTED', 'OUTBOX'] as const) {
  for (const [what, alter, reason] of boxLies) {
    test(`a controller that lists ${what} in ${box} is caught: ${reason}`, async (t) => {
      const bed = await privateController(t, store());
      const { mixnet } = await honest(bed);
      const { identity } = mixnet.parties[0];
      const client = await carefulBehind(t, bed.url, mixnet.mixnetId, alter, identity);
      await t.throwsAsync(client.box('gateway', box), {
        code: 'controller-lies',
        message: new RegExp(`: ${reason}$`),
      });
    });
  }
}
