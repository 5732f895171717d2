import test from 'ava';
import { canonicalText } from '../../src/api/canonical.ts';
import { decodeEndpointParams, encodeEndpointParams } from '../../src/api/endpoint-params.ts';
import { title } from '../../src/api/fields.ts';
import { emptyInboxHash, messageHash, runningInboxHash } from '../../src/api/message.ts';
import { combinedPeer, parseFounding, peerUpdate, signaturesNeeded } from '../../src/api/peer.ts';
import { problemOf, reasonOf } from '../../src/api/problem.ts';
import { hashText } from '../../src/api/signed.ts';
import { native } from '../../src/crypto/native.ts';

const message = {
  endpoint_id: 'mix_1',
  box: 'INBOX' as const,
  sender: 'a'.repeat(64),
  recipient: 'b'.repeat(64),
  text: 'cipher',
  serial: '0'.repeat(32),
};

test('a message hash is SHA-256 of the canonical text of its six fields', (t) => {
  const text =
    `{"box":"INBOX","endpoint_id":"mix_1","recipient":"${'b'.repeat(64)}",` +
    `"sender":"${'a'.repeat(64)}","serial":"${'0'.repeat(32)}","text":"cipher"}`;
  t.is(messageHash(native, message), hashText(native, text));
  const more = { ...message, id: 7, message_hash: 'x' };
  t.is(messageHash(native, more), hashText(native, text));
});

test('every field changes the message hash', (t) => {
  const hashes = new Set(
    [
      {},
      { endpoint_id: 'mix_2' },
      { box: 'PROCESSBOX' as const },
      { sender: 'c' },
      { recipient: 'c' },
    ]
      .concat([{ text: 'other' } as object, { serial: '' } as object])
      .map((change) => messageHash(native, { ...message, ...change })),
  );
  t.is(hashes.size, 7);
});

test('the running hash of an inbox can be taken up anywhere', (t) => {
  const hashes = ['1', '2', '3', '4'].map((digit) => digit.repeat(64));
  const start = emptyInboxHash(native, 'mix_1');
  const half = runningInboxHash(native, start, hashes.slice(0, 2));
  t.is(runningInboxHash(native, half, hashes.slice(2)), runningInboxHash(native, start, hashes));
  t.not(
    runningInboxHash(native, start, hashes.toReversed()),
    runningInboxHash(native, start, hashes),
  );
  t.not(start, emptyInboxHash(native, 'mix_2'));
});

test('endpoint_params are read as they were written, and anything else is null', (t) => {
  const params = {
    group: 'X25519' as const,
    publicKey: new Uint8Array(32).fill(9),
    strategy: 'continuous' as const,
  };
  const text = encodeEndpointParams(params);
  t.deepEqual(decodeEndpointParams(text), params);
  for (const other of ['', '{}', 'x', text.replace('X25519', 'P-224'), text.replace('09', '0g')]) {
    t.is(decodeEndpointParams(other), null);
  }
});

test('endpoint_params have one spelling', (t) => {
  const publicKey = new Uint8Array(32).fill(9);
  const text = encodeEndpointParams({ group: 'X25519', publicKey, strategy: 'continuous' });
  t.not(decodeEndpointParams(text), null);
  t.is(decodeEndpointParams(` ${text}`), null);
  t.is(decodeEndpointParams(text.replace('"continuous"', '"\\u0063ontinuous"')), null);
});

test('a name that people read holds nothing that moves the cursor of a terminal', (t) => {
  for (const name of ['Grün & Söhne', 'a'.repeat(256)]) t.is(title.parse(name), name);
  for (const name of ['a\u001b[2Kb', 'a\nb', 'a\u009bb', 'a\u202eb', 'a'.repeat(257)]) {
    t.false(title.safeParse(name).success);
  }
});

test('the id of a combined peer is the hash of its founding text', (t) => {
  const terms = {
    name: 'our mix-net',
    backend: 'SPHINXMIX',
    params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 32_768 },
    owners: ['a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)],
    rule: { m: 2, n: 3 },
  };
  const peer = combinedPeer(native, terms);
  t.is(peer.key_id, hashText(native, canonicalText(terms)));
  t.deepEqual(parseFounding(peer.key_data), terms);
  t.is(peer.key_type_params, canonicalText({ backend: terms.backend, params: terms.params }));
  t.is(parseFounding(` ${peer.key_data}`), null);
  for (const wrong of [
    { owners: terms.owners.toReversed() },
    { owners: [] },
    { rule: { m: 4, n: 3 } },
    { rule: { m: 1, n: 2 } },
    { rule: 'most' },
    { more: 1 },
  ]) {
    t.is(parseFounding(canonicalText({ ...terms, ...wrong })), null);
  }
});

test('a rule says how many signatures a change needs', (t) => {
  t.is(signaturesNeeded('all', 5), 5);
  t.is(signaturesNeeded({ m: 3, n: 5 }, 5), 3);
});

test('a change of a peer is a log entry or a snapshot, never both or neither', (t) => {
  const log = { previous: 'a'.repeat(64), anything: { else: 1 } };
  const snapshot = { ...log, number: 1, log_head: 'b'.repeat(64) };
  const peer_id = 'c'.repeat(64);
  t.deepEqual(peerUpdate.parse({ peer_id, log }), { peer_id, log });
  t.deepEqual(peerUpdate.parse({ peer_id, snapshot }), { peer_id, snapshot });
  t.false(peerUpdate.safeParse({ peer_id, log, snapshot }).success);
  t.false(peerUpdate.safeParse({ peer_id }).success);
});

test('a problem document carries its reason there and back', (t) => {
  const problem = problemOf('endpoint-closed');
  t.is(problem.status, 409);
  t.is(reasonOf(JSON.parse(JSON.stringify(problem))), 'endpoint-closed');
  for (const other of [null, 'x', {}, { ...problem, reason: 'toString' }])
    t.is(reasonOf(other), null);
});
