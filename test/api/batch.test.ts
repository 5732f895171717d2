import test from 'ava';
import {
  type BatchParams,
  decodeBatchParams,
  encodeBatchParams,
} from '../../src/api/batch-params.ts';
import { canonicalText } from '../../src/api/canonical.ts';
import { TEXT_LENGTH_MAX } from '../../src/api/contribution.ts';
import { BATCH_SIZE_MAX, endpointUpdate } from '../../src/api/endpoint.ts';
import { batchHash, postedInto } from '../../src/api/message.ts';
import { hashText } from '../../src/api/signed.ts';
import { native } from '../../src/crypto/native.ts';

const gateway: BatchParams = {
  kind: 'gateway',
  group: 'X25519',
  waitMs: 60_000,
  links: ['1', '2'].map((digit) => ({
    peerId: digit.repeat(64),
    endpointId: `${digit.repeat(7)}_for_ep_gateway_1`,
    publicKey: new Uint8Array(32).fill(Number(digit)),
  })),
};
const mix: BatchParams = {
  kind: 'mix',
  group: 'P-224',
  waitMs: null,
  publicKey: new Uint8Array(29).fill(3),
};

for (const params of [gateway, mix]) {
  test(`the parameters of a batch ${params.kind} are read as they were written`, (t) => {
    t.deepEqual(decodeBatchParams(encodeBatchParams(params)), params);
  });
}

test('batch parameters of another spelling, group, order or strategy are none', (t) => {
  const [first, second] = [encodeBatchParams(gateway), encodeBatchParams(mix)];
  for (const other of [
    '',
    '{}',
    ` ${first}`,
    first.replace('X25519', 'P-224'),
    first.replace('"batch"', '"continuous"'),
    first.replace('"2222222222', '"0'),
    first.replace('60000', '0'),
    encodeBatchParams({ ...gateway, links: gateway.links.toReversed() }),
    encodeBatchParams({ ...gateway, links: [] }),
    second.replace('P-224', 'X25519'),
    second.replace('03', '0g'),
  ]) {
    t.is(decodeBatchParams(other), null, other);
  }
});

test('a batch hash is that of the sorted hashes, whatever their order', (t) => {
  const hashes = ['b', 'a', 'c'].map((digit) => digit.repeat(64));
  const text = `["${'a'.repeat(64)}","${'b'.repeat(64)}","${'c'.repeat(64)}"]`;
  t.is(batchHash(native, hashes), hashText(native, text));
  t.is(batchHash(native, hashes.toReversed()), hashText(native, text));
  t.is(batchHash(native, []), hashText(native, '[]'));
});

test('a message keeps the hash of the box that it was posted into', (t) => {
  t.deepEqual((['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX'] as const).map(postedInto), [
    'INBOX',
    'INBOX',
    'PROCESSBOX',
    'PROCESSBOX',
  ]);
});

test('named hashes are sorted and each stands once, so that one closing has one text', (t) => {
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
  t.true(names());
  t.true(names(a, b));
  t.false(names(b, a));
  t.false(names(a, a));
  t.false(names('x'));
});

function names(...message_hashes: string[]): boolean {
  return endpointUpdate.safeParse({ endpoint_id: 'ep', status: 'CLOSED', message_hashes }).success;
}

test('the largest closing fits twice into a text that owners sign', (t) => {
  const hashes = Array.from({ length: BATCH_SIZE_MAX }, (_, n) => n.toString(16).padStart(64, '0'));
  const text = canonicalText({
    endpoint_id: 'e'.repeat(64),
    status: 'CLOSED',
    message_hashes: hashes,
  });
  t.true(2 * text.length <= TEXT_LENGTH_MAX);
  t.true(endpointUpdate.safeParse(JSON.parse(text)).success);
});
