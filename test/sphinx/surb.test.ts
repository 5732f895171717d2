import test from 'ava';
import { fromUtf8, toHex, toUtf8 } from '../../src/bytes.ts';
import { createSphinx, relayRouting } from '../../src/sphinx/index.ts';
import type { Sphinx } from '../../src/sphinx/index.ts';
import {
  bytes,
  cases,
  flipped,
  freshPath,
  hopsOf,
  packetHex,
  primitiveSets,
  recordedRandom,
} from './vectors.ts';

for (const { title, vector, sphinx } of cases) {
  if (vector.kind !== 'surb') continue;
  test(`a reply block and its reply are the reference's: ${title}`, (t) => {
    const created = sphinx.createSurb(
      hopsOf(vector),
      bytes(vector.dest),
      recordedRandom(vector.randomness),
    );
    const { surb } = created;
    t.is(toHex(created.id), vector.surb.id);
    t.deepEqual(created.keytuple.map(toHex), [...vector.surb.keytuple]);
    for (const part of ['first', 'alpha', 'beta', 'gamma', 'ktilde'] as const) {
      t.is(toHex(surb[part]), vector.surb[part], part);
    }
    t.is(toHex(sphinx.reply(surb, bytes(vector.message))), packetHex(vector.packet));
    const message = sphinx.openReply(created.keytuple, bytes(vector.steps.at(-1)?.out.delta ?? ''));
    t.is('kind' in message ? message.reason : toHex(message), vector.message);
  });
}

const RELAYS = [1, 2, 3].map((n) => relayRouting(new Uint8Array(16).fill(n), 1000 * n));

/** The body as it leaves the last hop, and the routing that this hop read. */
function travel(sphinx: Sphinx, secrets: readonly Uint8Array[], packet: Uint8Array) {
  let peeled = sphinx.peel(secrets[0] as Uint8Array, packet);
  for (const secret of secrets.slice(1)) {
    if (peeled.kind === 'drop') break;
    peeled = sphinx.peel(secret, peeled.out);
  }
  if (peeled.kind === 'drop') throw new Error(peeled.reason);
  return peeled;
}

for (const primitives of primitiveSets) {
  for (const group of ['X25519', 'P-224'] as const) {
    const sphinx = createSphinx({ group, headerLen: 192, bodyLen: 512 }, primitives);
    const name = `${group}, ${primitives.name}`;

    test(`a reply comes home through an encoded block, with its id (${name})`, (t) => {
      const hops = freshPath(sphinx, primitives, RELAYS);
      const secrets = hops.map(({ secret }) => secret);
      const { id, keytuple, surb } = sphinx.createSurb(hops, new Uint8Array(0));
      const encoded = sphinx.encodeSurb(surb);
      t.is(encoded.length, sphinx.surbBytes);
      const decoded = sphinx.decodeSurb(encoded);
      if (!decoded) throw new Error('not decoded');
      t.deepEqual(decoded, { ...surb, first: relayRouting(new Uint8Array(16).fill(1), 0) });
      const packet = sphinx.reply(decoded, fromUtf8('received'));
      t.is(packet.length, sphinx.packetBytes);

      const home = travel(sphinx, secrets, packet);
      t.deepEqual(home.routing, { kind: 'reply', dest: new Uint8Array(0), id });
      const message = sphinx.openReply(keytuple, home.delta);
      t.is('kind' in message ? message.reason : toUtf8(message), 'received');
      t.deepEqual(sphinx.openReply(keytuple, home.delta), message, 'opening uses nothing up');

      const touched = travel(sphinx, secrets, flipped(packet, packet.length - 1));
      t.deepEqual(sphinx.openReply(keytuple, touched.delta), {
        kind: 'drop',
        reason: 'body-mac-mismatch',
      });
      t.deepEqual(sphinx.openReply(keytuple, home.delta.subarray(1)), {
        kind: 'drop',
        reason: 'body-length',
      });
    });
  }

  test(`replies of every length come home, and none that is too long (${primitives.name})`, (t) => {
    const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 512 }, primitives);
    const [hop] = freshPath(sphinx, primitives, RELAYS);
    if (!hop) throw new Error('one hop was asked for');
    for (const length of [0, 1, sphinx.replyBytesMax]) {
      const { keytuple, surb } = sphinx.createSurb([hop], new Uint8Array(0));
      const home = travel(sphinx, [hop.secret], sphinx.reply(surb, new Uint8Array(length)));
      t.deepEqual(sphinx.openReply(keytuple, home.delta), new Uint8Array(length));
    }
    const { surb } = sphinx.createSurb([hop], new Uint8Array(0));
    t.throws(() => sphinx.reply(surb, new Uint8Array(sphinx.replyBytesMax + 1)), {
      instanceOf: RangeError,
    });
  });

  test(`a block of another length is none, and a garbled one is dropped by its first hop (${primitives.name})`, (t) => {
    const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 512 }, primitives);
    const hops = freshPath(sphinx, primitives, RELAYS);
    const encoded = sphinx.encodeSurb(sphinx.createSurb(hops, new Uint8Array(0)).surb);
    t.is(sphinx.decodeSurb(encoded.subarray(1)), null);
    t.is(sphinx.decodeSurb(new Uint8Array(0)), null);
    t.is(sphinx.decodeSurb(new Uint8Array(sphinx.surbBytes + 1)), null);
    const garbled = sphinx.decodeSurb(flipped(encoded, 16 + 32 + 5));
    if (!garbled) throw new Error('its length is right');
    const packet = sphinx.reply(garbled, fromUtf8('x'));
    t.deepEqual(sphinx.peel(hops[0]?.secret ?? packet, packet), {
      kind: 'drop',
      reason: 'mac-mismatch',
    });
  });
}

test('keys and blocks of wrong sizes are our own bugs, named', (t) => {
  const [primitives] = primitiveSets;
  if (!primitives) throw new Error('there are two sets');
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 512 }, primitives);
  const { keytuple, surb } = sphinx.createSurb(
    freshPath(sphinx, primitives, RELAYS),
    new Uint8Array(0),
  );
  const body = new Uint8Array(512);
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => sphinx.openReply([], body), /keytuple/],
    [() => sphinx.openReply(keytuple.slice(0, 1), body), /keytuple/],
    [() => sphinx.openReply([...keytuple, body], body), /keytuple: expected 16 bytes/],
    [() => sphinx.reply({ ...surb, beta: body }, body.subarray(400)), /surb\.beta/],
    [() => sphinx.encodeSurb({ ...surb, first: bytes('91a2c3b1') }), /surb\.first/],
    [() => sphinx.createSurb([], body), /at least one/],
    [() => sphinx.createSurb(freshPath(sphinx, primitives, RELAYS), body), /routing: 1 to 127/],
  ];
  for (const [make, message] of wrong) t.throws(make, { instanceOf: RangeError, message });
});
