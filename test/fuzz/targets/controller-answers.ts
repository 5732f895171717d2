/**
 * What a controller answers to its clients: the controller is the adversary here. First line the status, the rest
 * the body, given as the answer to every call; and a peer with the records that are to prove it.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseStrict } from '../../../src/api/canonical.ts';
import type { ConsensusRecord } from '../../../src/api/negotiation.ts';
import { combinedPeer, parseFounding, peerData, type PeerData } from '../../../src/api/peer.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import type { Answer } from '../../../src/client/http.ts';
import { verifyPeer } from '../../../src/client/verify.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { PanoramixError } from '../../../src/errors.ts';
import { paperMixnet } from '../../mixnet/signed-directory.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import type { Mutation } from '../mutation.ts';
import { textSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const WORDS = [
  '200', '201', '204', '400', '503', '999', 'reason', 'unexpected', 'endpoint-full', 'toString', '__proto__', 'OPEN', 'DONE',
  'INBOX', 'data', 'a'.repeat(64), '2026-03-01T12:00:00Z', '\xef\xbb\xbf', 'null', '[]', '{}',
]; // prettier-ignore
const MESSAGE = {
  id: 1,
  endpoint_id: 'ep',
  box: 'INBOX',
  sender: 'a'.repeat(64),
  recipient: 'b'.repeat(64),
  text: 'hello',
  serial: 'c'.repeat(32),
  message_hash: 'd'.repeat(64),
};
const ENDPOINT = {
  peer_id: 'a'.repeat(64),
  endpoint_id: 'ep',
  endpoint_type: 'SPHINXMIX_CONTINUOUS',
  endpoint_params: '{}',
  description: '',
  public: false,
  senders: 'peers',
  status: 'OPEN',
  size_min: 0,
  size_max: 10,
  consensus_logs: [
    { consensus_id: 'e'.repeat(64), status: 'OPEN', timestamp: '2026-03-01T12:00:00Z' },
  ],
};

export function openControllerAnswers(): Target {
  let answer: Answer = { status: 200, bytes: new Uint8Array() };
  const client = new ControllerClient({
    url: 'http://127.0.0.1:8000/',
    identity: createIdentity(native),
    primitives: native,
    travel: () => Promise.resolve(answer),
  });
  const paper = paperMixnet();
  const { founding } = paper.nodes;
  const said = peerOnPaper(founding);
  const honest = verifyPeer(
    native,
    paper.mixnetId,
    said,
    new Map([[founding.consensus, founding]]),
  );
  if (!honest.ok) throw new Error(honest.reason);
  const calls = callsOf(client);
  return {
    seeds: textSeeds([
      `200\n${JSON.stringify({ data: said })}`,
      `200\n${JSON.stringify([{ data: said }])}`,
      `200\n${JSON.stringify({ data: founding })}`,
      `200\n${JSON.stringify({ data: ENDPOINT })}`,
      `200\n${JSON.stringify([{ data: MESSAGE }])}`,
      `200\n${JSON.stringify({ said, record: founding })}`,
      `503\n${JSON.stringify({ reason: 'endpoint-full', status: 503 })}`,
      '204\n',
    ]),
    mutations: [...[...JSON_MUTATIONS, ...JSON_MUTATIONS].map(inBody), ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 65_536,
    shortRuns: 1_500,
    async run(input) {
      const newline = Math.max(0, input.indexOf(0x0a));
      const status = Number.parseInt(
        Buffer.from(input.subarray(0, newline)).toString('latin1'),
        10,
      );
      answer = { status: Number.isNaN(status) ? 200 : status, bytes: input.slice(newline + 1) };
      for (const call of calls) await isNamed(call);
      checkPeer(input.subarray(newline + 1));
    },
  };

  function checkPeer(body: Uint8Array): void {
    const json = parseStrict(body);
    if (!json.ok || typeof json.value !== 'object' || json.value === null) return;
    const { said: told, record } = json.value as {
      readonly said?: unknown;
      readonly record?: unknown;
    };
    const peer = peerData.safeParse(told);
    if (!peer.success) return;
    const records = new Map([[founding.consensus, record]]);
    const verified = verifyPeer(native, paper.mixnetId, peer.data, records);
    if (!verified.ok || !honest.ok) return;
    hold(isDeepStrictEqual(verified.value, honest.value), 'a changed peer is believed');
  }
}

function callsOf(client: ControllerClient): readonly (() => Promise<unknown>)[] {
  const id = 'a'.repeat(64);
  return [
    async () => await client.getPeer(id),
    async () => await client.listPeers(),
    async () => await client.getNegotiation('n'),
    async () => await client.listContributions('n'),
    async () => await client.getEndpoint('ep'),
    async () => await client.listEndpoints(),
    async () => await client.listMessages({ endpointId: 'ep', box: 'INBOX' }),
    async () => await client.releaseMessages({ endpointId: 'ep', box: 'INBOX', upTo: 1 }),
    async () => await client.createNegotiation(),
    async () => await client.contribute('n', 'text'),
    async () => await client.listMeetings(id),
    async () => await client.getNodes(id),
    async () => await client.postMessages([{ ...MESSAGE_SENT, recipient: id }]),
  ];
}

const MESSAGE_SENT = {
  endpoint_id: 'ep',
  box: 'INBOX',
  sender: 'a'.repeat(64),
  text: 'a',
  serial: '',
} as const;

async function isNamed(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (thrown) {
    if (!(thrown instanceof PanoramixError)) throw thrown;
  }
}

/** A mixnet's peer as its controller shows it (D4.2 §6.3). */
function peerOnPaper(founding: ConsensusRecord): PeerData {
  const { data } = JSON.parse(founding.text) as { readonly data: { readonly key_data: string } };
  const terms = parseFounding(data.key_data);
  if (terms === null) throw new Error('no founding text');
  const { owners, ...fields } = combinedPeer(native, terms);
  return {
    ...fields,
    owners,
    consensus_logs: [
      { consensus_id: founding.consensus, status: fields.status, timestamp: founding.timestamp },
    ],
  };
}

/** A change of the JSON behind the status. */
function inBody(mutation: Mutation): Mutation {
  return (input, around) => {
    const from = input.indexOf(0x0a) + 1;
    const other = around.other.subarray(around.other.indexOf(0x0a) + 1);
    const changed = mutation(input.subarray(from), { ...around, other });
    return new Uint8Array(Buffer.concat([input.subarray(0, from), changed]));
  };
}
