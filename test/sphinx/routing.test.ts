import test from 'ava';
import fc from 'fast-check';
import { toHex } from '../../src/bytes.ts';
import { deliverRouting, readRouting, relayRouting, replyRouting } from '../../src/sphinx/index.ts';
import { bytes } from './vectors.ts';

const ADDRESS = '00112233445566778899aabbccddeeff';
const ID = 'ffeeddccbbaa99887766554433221100';

test('a relay routing is a flag, and address and delay in one byte string', (t) => {
  const routing = relayRouting(bytes(ADDRESS), 0x01020304);
  t.is(toHex(routing), `92a2c3b0c414${ADDRESS}01020304`);
  t.deepEqual(readRouting(routing), {
    kind: 'relay',
    address: bytes(ADDRESS),
    delayMs: 0x01020304,
  });
  t.throws(() => relayRouting(bytes('00'), 0), { instanceOf: RangeError, message: /address/ });
  t.throws(() => relayRouting(bytes(ADDRESS), 2 ** 32), { instanceOf: RangeError });
  t.throws(() => relayRouting(bytes(ADDRESS), 0.5), { instanceOf: RangeError });
});

test('final routings are read as they are written', (t) => {
  t.is(toHex(deliverRouting()), '91a2c3b1');
  t.deepEqual(readRouting(deliverRouting()), { kind: 'deliver' });
  const reply = replyRouting(new Uint8Array(0), bytes(ID));
  t.is(toHex(reply), `93a2c3b2c400c410${ID}`);
  t.deepEqual(readRouting(reply), { kind: 'reply', dest: new Uint8Array(0), id: bytes(ID) });
});

const hostile: readonly [string, string, 'routing-malformed' | 'routing-unknown' | 'other'][] = [
  ['nothing', '', 'routing-malformed'],
  ['an empty array', '90', 'routing-malformed'],
  ['an array without its items', '92', 'routing-malformed'],
  ['a number as flag', '9101', 'routing-malformed'],
  ['a flag of another length', '91a3c3b1c3', 'routing-malformed'],
  ['a flag cut short', '91a2c3', 'routing-malformed'],
  ['an unknown flag', '91a2c3b3', 'routing-unknown'],
  ['an unknown flag of a later version', `94a2c3bfc0c0c0`, 'routing-unknown'],
  ['the flag as bytes', '91c402c3b1', 'routing-malformed'],
  ['the flag in a longer form', '91d902c3b1', 'routing-malformed'],
  ['the array in a longer form', 'dc0001a2c3b1', 'routing-malformed'],
  ['deliver with an item more', '92a2c3b1c400', 'routing-malformed'],
  ['deliver with bytes left over', '91a2c3b100', 'routing-malformed'],
  ['relay without an address', '91a2c3b0', 'routing-malformed'],
  ['relay with a string for an address', '92a2c3b0a161', 'routing-malformed'],
  [
    'relay with an address in a longer form',
    `92a2c3b0c50014${ADDRESS}00000000`,
    'routing-malformed',
  ],
  ['relay with a cut address', `92a2c3b0c414${ADDRESS}000000`, 'routing-malformed'],
  ['relay with bytes left over', `92a2c3b0c414${ADDRESS}0000000000`, 'routing-malformed'],
  ['relay with a huge length', '92a2c3b0c6ffffffff', 'routing-malformed'],
  ['relay with the address of another program', '92a2c3b0c40401020304', 'other'],
  ['reply without an id', '93a2c3b2c400', 'routing-malformed'],
  ['reply with a short id', `93a2c3b2c400c40f${ID.slice(2)}`, 'routing-malformed'],
  ['reply with bytes left over', `93a2c3b2c400c410${ID}00`, 'routing-malformed'],
];
for (const [what, hex, expected] of hostile) {
  test(`a routing of ${what} is ${expected}`, (t) => {
    const routing = readRouting(bytes(hex));
    t.is(typeof routing === 'string' ? routing : routing.kind, expected);
  });
}

test('any bytes are read or refused, and what is read has one form', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 127 }), fc.boolean(), (raw, relay) => {
      const input = relay ? Uint8Array.from([0x92, 0xa2, 0xc3, 0xb0, ...raw]) : raw;
      const routing = readRouting(input);
      if (typeof routing === 'string' || routing.kind === 'other') return t.pass();
      const written = {
        relay: () => relayRouting(...relayArguments(routing)),
        deliver: deliverRouting,
        reply: () => replyRouting(...replyArguments(routing)),
      }[routing.kind]();
      return t.deepEqual(written, input);
    }),
    { numRuns: 2000 },
  );
});

type Read = Exclude<ReturnType<typeof readRouting>, string>;

function relayArguments(routing: Read): [Uint8Array, number] {
  if (routing.kind !== 'relay') throw new Error('not a relay routing');
  return [routing.address, routing.delayMs];
}

function replyArguments(routing: Read): [Uint8Array, Uint8Array] {
  if (routing.kind !== 'reply') throw new Error('not a reply routing');
  return [routing.dest, routing.id];
}
