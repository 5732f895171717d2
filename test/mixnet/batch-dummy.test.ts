import test from 'ava';
import { toBase64url } from '../../src/bytes.ts';
import { createIdentity, createMixKey, nodeAddress } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import {
  dummiesToAdd,
  dummyMessage,
  dummyTexts,
  makeDummy,
  markDummy,
  type Dummy,
  type DummySeries,
} from '../../src/mixnet/batch-dummy.ts';
import { mixBatch, openBatch } from '../../src/mixnet/batch-peel.ts';
import { createSphinx, relayRouting } from '../../src/sphinx/index.ts';

const sphinx = createSphinx({ group: 'P-224', headerLen: 192, bodyLen: 1024 }, native);
const key = createMixKey(native, native.group('P-224'));
const owner = createIdentity(native).peerId;
const mixnet = createIdentity(native).peerId;
const series: DummySeries = {
  primitives: native,
  orderKey: native.random(32),
  endpointId: 'gateway_1',
  opened: 'a'.repeat(64),
};
const address = nodeAddress(native, owner, key.publicKey);
const path = {
  sphinx,
  hops: [{ routing: relayRouting(address, 0), publicKey: key.publicKey }],
  recipient: mixnet,
};

test('a dummy is the same message each time it is made, and no two are alike', (t) => {
  const [first, again, second] = [0, 0, 1].map((number) => makeDummy(series, number, path)) as [
    Dummy,
    Dummy,
    Dummy,
  ];
  t.is(again.text, first.text);
  t.is(again.serial, first.serial);
  t.is(again.sender.peerId, first.sender.peerId);
  t.not(second.text, first.text);
  t.not(second.sender.peerId, first.sender.peerId);
  t.deepEqual(markDummy(series, 0), {
    nonce: first.nonce,
    sender: first.sender,
    serial: first.serial,
  });
  for (const other of [
    { endpointId: 'gateway_2' },
    { opened: 'b'.repeat(64) },
    { orderKey: native.random(32) },
  ]) {
    t.not(markDummy({ ...series, ...other }, 0).nonce, first.nonce);
  }
});

test('a dummy comes out of the chain as what its nonce says, and no other nonce does', (t) => {
  const dummy = makeDummy(series, 3, path);
  const position = {
    sphinx,
    primitives: native,
    secret: key.secret,
    orderKey: native.random(32),
    relayTo: () => null,
    delivers: true,
  };
  const { opened } = openBatch(position, [{ messageHash: 'a', text: dummy.text }]);
  const { outputs } = mixBatch(position, 'gateway_1', opened);
  t.is(outputs.length, 1);
  t.is(outputs[0]?.recipient, mixnet);
  t.true(dummyTexts(portable, 'gateway_1', [dummy.nonce]).has(String(outputs[0]?.text)));
  t.false(dummyTexts(portable, 'gateway_2', [dummy.nonce]).has(String(outputs[0]?.text)));
  t.is(outputs[0]?.text, toBase64url(dummyMessage(native, 'gateway_1', dummy.nonce)));
});

test('a dummy looks like what a user sends: one size, one kind of sender and serial', (t) => {
  const text = toBase64url(sphinx.build(path.hops, native.random(32), native.random(7)));
  const dummy = makeDummy(series, 0, path);
  t.is(dummy.text.length, text.length);
  t.regex(dummy.serial, /^[0-9a-f]{32}$/);
  t.regex(dummy.sender.peerId, /^[0-9a-f]{64}$/);
});

test('owners who look one after the other fill a cycle to its minimum, not beyond, each with a share', (t) => {
  for (const owners of [1, 2, 3, 7]) {
    for (let present = 1; present <= 12; present++) {
      const added = Array.from({ length: owners }, () => 0);
      const count = (): number => present + added.reduce((sum, one) => sum + one, 0);
      for (let look = 0; look < 10; look++) {
        for (let each = 0; each < owners; each++) {
          added[each] = (added[each] as number) + dummiesToAdd(count(), 10, owners);
        }
      }
      t.is(count(), Math.max(present, 10));
      t.true(10 - present < owners || added.every((one) => one > 0));
      // All at once, as where none sees the others' in time: never too few.
      t.true(present + owners * dummiesToAdd(present, 10, owners) >= 10);
    }
  }
});
