import { inspect } from 'node:util';
import test from 'ava';
import { concat, fromHex, fromUtf8, toHex } from '../../src/bytes.ts';
import {
  createIdentity,
  createMixKey,
  identityFromSecret,
  mixKeyFromSecret,
  nodeAddress,
} from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';

for (const primitives of [portable, native]) {
  test(`an identity signs under its peer id (${primitives.name})`, (t) => {
    const identity = createIdentity(primitives);
    t.regex(identity.peerId, /^[0-9a-f]{64}$/);
    const text = fromUtf8('text');
    const key = fromHex(identity.peerId) ?? text;
    t.true(primitives.verify(key, text, primitives.sign(identity.secret, text)));
    t.is(identityFromSecret(primitives, identity.secret).peerId, identity.peerId);
    t.throws(() => identityFromSecret(primitives, identity.secret.subarray(1)), {
      instanceOf: RangeError,
    });
  });

  test(`a mix key's halves belong together (${primitives.name})`, (t) => {
    for (const name of ['X25519', 'P-224'] as const) {
      const group = primitives.group(name);
      const key = createMixKey(primitives, group);
      t.deepEqual(group.publicKey(key.secret), key.publicKey);
      t.deepEqual(mixKeyFromSecret(group, key.secret).publicKey, key.publicKey);
      t.true(group.accepts(key.publicKey));
      t.throws(() => mixKeyFromSecret(group, new Uint8Array(5)), { instanceOf: RangeError });
    }
  });
}

test('no secret is printed, spread or written as JSON', (t) => {
  const secret = new Uint8Array(32).fill(0xab);
  const identity = identityFromSecret(native, secret);
  const key = mixKeyFromSecret(native.group('X25519'), secret);
  for (const holder of [identity, key]) {
    const shown = [inspect(holder), JSON.stringify(holder), JSON.stringify({ ...holder })].join();
    t.notRegex(shown, /171|abab/i);
    t.deepEqual(holder.secret, secret);
  }
  secret.fill(0);
  t.deepEqual(identity.secret, new Uint8Array(32).fill(0xab), 'and it is a copy');
});

test('an address is the first half of a labelled hash of peer and key', (t) => {
  const [peerId, key] = ['07'.repeat(32), new Uint8Array(32).fill(9)];
  const hashed = concat(fromUtf8('panoramix/v1/node-address'), new Uint8Array(32).fill(7), key);
  const address = nodeAddress(native, peerId, key);
  t.is(toHex(address), toHex(native.sha256(hashed)).slice(0, 32));
  t.deepEqual(nodeAddress(portable, peerId, key), address);
  t.notDeepEqual(nodeAddress(native, peerId, key.fill(8)), address);
  for (const wrong of ['', '07', `${peerId}07`, 'zz'.repeat(32)]) {
    t.throws(() => nodeAddress(native, wrong, key), { instanceOf: RangeError });
  }
});
