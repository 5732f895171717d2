import test from 'ava';
import { randomBytes } from 'node:crypto';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { messageIdOfReturn, returnAddress } from '../../src/mail/return-address.ts';

const key = new Uint8Array(32).fill(7);
const messageId = '00112233445566778899aabbccddeeff';

test('a return address leads back to its message, also in capitals, and on both primitives', (t) => {
  for (const primitives of [native, portable]) {
    const address = returnAddress(primitives, key, messageId, 'exit.example');
    t.is(address, returnAddress(native, key, messageId, 'exit.example'));
    t.is(messageIdOfReturn(primitives, key, address, 'exit.example'), messageId);
    t.is(messageIdOfReturn(primitives, key, address.toUpperCase(), 'exit.example'), messageId);
  }
});

test('its local part has the 64 characters that RFC 5321 §4.5.3.1.1 allows, at most', (t) => {
  const address = returnAddress(native, key, messageId, 'exit.example');
  t.regex(address, /^panoramix\+[a-z2-7]{52}@exit\.example$/);
  t.true(address.indexOf('@') <= 64);
});

test('the token tells nothing: another message or key changes all of it', (t) => {
  const one = token(messageId);
  const other = token('00112233445566778899aabbccddeefe');
  const same = Array.from(one).filter((character, i) => character === other[i]).length;
  t.true(same < 15, `${same} of 52 characters are the same`);
  t.not(one, token(messageId, randomBytes(32)));
  t.false(one.includes('aabbcc'));
});

test('every changed character, another key, domain or shape is nobody’s return address', (t) => {
  const address = returnAddress(native, key, messageId, 'exit.example');
  for (let i = 10; i < 62; i++) {
    const changed = `${address.slice(0, i)}${address[i] === 'a' ? 'b' : 'a'}${address.slice(i + 1)}`;
    t.is(messageIdOfReturn(native, key, changed, 'exit.example'), null, changed);
  }
  t.is(messageIdOfReturn(native, randomBytes(32), address, 'exit.example'), null);
  t.is(messageIdOfReturn(native, key, address, 'other.example'), null);
  for (const odd of ['', 'panoramix@exit.example', 'panoramix+@exit.example', 'x+y@exit.example']) {
    t.is(messageIdOfReturn(native, key, odd, 'exit.example'), null);
  }
});

test('a message id of another length is a bug of ours', (t) => {
  t.throws(() => returnAddress(native, key, 'aa', 'exit.example'), { instanceOf: RangeError });
});

function token(id: string, by = key): string {
  return returnAddress(native, by, id, 'e.example').slice(10, 62);
}
