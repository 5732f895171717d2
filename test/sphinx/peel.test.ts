import test from 'ava';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { concat, fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import {
  createSphinx,
  deliverRouting,
  relayRouting,
  replyRouting,
} from '../../src/sphinx/index.ts';
import type { DropReason, Peeled } from '../../src/sphinx/index.ts';
import { forgePacket, withLengthByte } from './forge.ts';
import { bytes, cases, flipped, freshPath, packetHex, primitiveSets } from './vectors.ts';

const ADDRESS = new Uint8Array(16).fill(7);
const RELAY = relayRouting(ADDRESS, 1500);
const GROUPS = ['X25519', 'P-224'] as const;

function peeledOf(result: { kind: string }): Peeled {
  if (result.kind !== 'peeled') throw new Error(`not peeled: ${JSON.stringify(result)}`);
  return result as Peeled;
}

for (const { title, vector, sphinx } of cases) {
  test(`peeling gives every step of the reference: ${title}`, (t) => {
    let packet = bytes(packetHex(vector.packet));
    for (const [i, step] of vector.steps.entries()) {
      const peeled = peeledOf(sphinx.peel(bytes(vector.hops[i]?.secret ?? ''), packet));
      t.is(toHex(peeled.tag), step.tag);
      t.is(toHex(peeled.routingBytes), step.routing);
      t.is(toHex(peeled.macKey), step.mac_key);
      t.is(toHex(peeled.out), packetHex(step.out));
      t.is(toHex(peeled.delta), step.out.delta);
      packet = peeled.out;
    }
    t.is(toHex(packet.subarray(-vector.body_len)), vector.steps.at(-1)?.out.delta ?? '');
  });
}

for (const primitives of primitiveSets) {
  for (const group of GROUPS) {
    const sphinx = createSphinx({ group, headerLen: 192, bodyLen: 1024 }, primitives);
    const name = `${group}, ${primitives.name}`;
    const [hop, exit] = freshPath(sphinx, primitives, [RELAY, RELAY]);
    if (!hop || !exit) throw new Error('two hops were asked for');
    const packet = sphinx.build([hop, exit], fromUtf8('mail'), fromUtf8('hello'));
    const { alpha, beta, gamma } = sphinx.partBytes;
    const bodyStart = alpha + beta + gamma;

    const hostile: readonly [string, DropReason, Uint8Array][] = [
      ['nothing', 'packet-length', new Uint8Array(0)],
      ['a packet cut by a byte', 'packet-length', packet.subarray(0, -1)],
      ['a packet longer by a byte', 'packet-length', concat(packet, new Uint8Array(1))],
      ['an alpha of zeros', 'point-invalid', concat(new Uint8Array(alpha), packet.subarray(alpha))],
      ['an alpha of ones', 'point-invalid', Uint8Array.from(packet).fill(0xff, 0, alpha)],
      ['a touched beta', 'mac-mismatch', flipped(packet, alpha)],
      ['a beta touched at its end', 'mac-mismatch', flipped(packet, alpha + beta - 1)],
      ['a touched gamma', 'mac-mismatch', flipped(packet, alpha + beta)],
      ['a gamma touched at its end', 'mac-mismatch', flipped(packet, bodyStart - 1)],
      [
        "another hop's packet",
        'mac-mismatch',
        sphinx.build([exit], fromUtf8('m'), packet.slice(0, 9)),
      ],
    ];
    for (const [what, reason, bad] of hostile) {
      test(`${what} is ${reason} (${name})`, (t) => {
        const before = Uint8Array.from(bad);
        t.deepEqual(sphinx.peelHeader(hop.secret, bad), { kind: 'drop', reason });
        t.deepEqual(sphinx.peel(hop.secret, bad), { kind: 'drop', reason });
        t.deepEqual(Uint8Array.from(bad), before, 'and is not changed');
        t.is(sphinx.peel(hop.secret, packet).kind, 'peeled', 'restored, it is taken');
      });
    }

    test(`a body touched anywhere on its way is body-mac-mismatch at the exit (${name})`, (t) => {
      for (const offset of [bodyStart, bodyStart + 15, bodyStart + 16, packet.length - 1]) {
        const bad = peeledOf(sphinx.peel(hop.secret, flipped(packet, offset)));
        const last = peeledOf(sphinx.peel(exit.secret, bad.out));
        t.deepEqual(sphinx.openForward(last.macKey, last.delta), {
          kind: 'drop',
          reason: 'body-mac-mismatch',
        });
      }
      const good = peeledOf(sphinx.peel(hop.secret, packet));
      const last = peeledOf(sphinx.peel(exit.secret, good.out));
      t.deepEqual(sphinx.openForward(last.macKey, last.delta), {
        dest: fromUtf8('mail'),
        message: fromUtf8('hello'),
      });
    });

    test(`the two stages give what peel gives, and the second takes a header once (${name})`, (t) => {
      const header = sphinx.peelHeader(hop.secret, packet);
      if (header.kind === 'drop') throw new Error(header.reason);
      const before = Uint8Array.from(packet);
      t.deepEqual(header.routing, { kind: 'relay', address: ADDRESS, delayMs: 1500 });
      t.deepEqual(sphinx.peelBody(header), sphinx.peel(hop.secret, packet));
      t.throws(() => sphinx.peelBody(header), { instanceOf: RangeError, message: /once/ });
      t.deepEqual(packet, before);
    });

    test(`copies of a packet have one tag, other packets others (${name})`, (t) => {
      const tagOf = (copy: Uint8Array) => toHex(peeledOf(sphinx.peel(hop.secret, copy)).tag);
      t.is(tagOf(flipped(packet, packet.length - 1)), tagOf(packet), 'whatever its body');
      const other = sphinx.build([hop, exit], fromUtf8('mail'), fromUtf8('hello'));
      t.not(tagOf(other), tagOf(packet));
    });

    const written: readonly [string, DropReason | Peeled['routing']['kind'], Uint8Array][] = [
      ['a length byte of 0', 'routing-malformed', withLengthByte(RELAY, 0)],
      ['a length byte of 128', 'routing-malformed', withLengthByte(RELAY, 128)],
      ['a length byte of 255', 'routing-malformed', withLengthByte(RELAY, 255)],
      ['a length that cuts the routing', 'routing-malformed', withLengthByte(RELAY, 25)],
      ['a length that swallows more', 'routing-malformed', withLengthByte(RELAY, 27)],
      ['no msgpack', 'routing-malformed', withLengthByte(fromUtf8('\u007fELF'))],
      ['another flag', 'routing-unknown', withLengthByte(bytes('91a2c3b3'))],
      ['a relay routing', 'relay', withLengthByte(RELAY)],
      ['a short address', 'other', withLengthByte(bytes('92a2c3b0c401c2'))],
      ['a deliver routing', 'deliver', withLengthByte(deliverRouting())],
      ['nothing but zeros', 'routing-malformed', new Uint8Array(0)],
    ];
    for (const [what, expected, plain] of written) {
      test(`a sender's header with ${what} is ${expected} (${name})`, (t) => {
        const forged = forgePacket(sphinx, primitives, hop.publicKey, plain);
        const result = sphinx.peel(hop.secret, forged);
        t.is(result.kind === 'drop' ? result.reason : result.routing.kind, expected);
      });
    }
  }
}

test('a copy disguised by a low-order point in alpha passes the MAC, and its tag gives it away', (t) => {
  // gamma covers beta, not alpha (Sphinx §3.2), and a clamped secret takes no notice of such a point.
  for (const primitives of primitiveSets) {
    const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 64 }, primitives);
    const [hop] = freshPath(sphinx, primitives, [RELAY]);
    if (!hop) throw new Error('one hop was asked for');
    const secret = new Uint8Array(32).fill(64); // clamped already
    let isFirst = true;
    const packet = sphinx.build([hop], fromUtf8('mail'), fromUtf8('hello'), (byteLength) => {
      const drawn = isFirst ? secret : primitives.random(byteLength);
      isFirst = false;
      return drawn;
    });
    const { Point } = ed25519;
    const scalar = BigInt(`0x${'40'.repeat(32)}`) % Point.Fn.ORDER;
    const tags = ED25519_TORSION_SUBGROUP.map((torsion) => {
      const element = Point.BASE.multiply(scalar).add(Point.fromBytes(bytes(torsion), true));
      const alpha = ed25519.utils.toMontgomery(element.toBytes());
      const peeled = peeledOf(sphinx.peel(hop.secret, concat(alpha, packet.subarray(32))));
      return { alpha: toHex(alpha), tag: toHex(peeled.tag), out: toHex(peeled.out) };
    });
    t.true(new Set(tags.map(({ alpha }) => alpha)).size > 4, 'other packets');
    t.is(new Set(tags.map(({ tag }) => tag)).size, 1, 'one tag');
    t.is(new Set(tags.map(({ out }) => out)).size, 1, 'and nothing of the disguise goes on');
  }
});

test('a length byte that the reference would read as negative is routing-malformed', (t) => {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 320, bodyLen: 64 }, native);
  const [hop] = freshPath(sphinx, native, [RELAY]);
  if (!hop) throw new Error('one hop was asked for');
  const outcome = (nameBytes: number) => {
    const name = new Uint8Array(nameBytes).fill(1);
    const routing = concat(bytes('92a2c3b0c4'), Uint8Array.of(nameBytes), name);
    const forged = forgePacket(sphinx, native, hop.publicKey, withLengthByte(routing));
    const result = sphinx.peel(hop.secret, forged);
    return result.kind === 'drop' ? result.reason : result.routing.kind;
  };
  t.is(outcome(127 - 6), 'other');
  t.is(outcome(128 - 6), 'routing-malformed');
});

test('a routing that runs past beta into the zeros behind it is routing-malformed', (t) => {
  const reply = replyRouting(new Uint8Array(0), new Uint8Array(16));
  for (const [headerLen, expected] of [
    [32 + 25, 'reply'],
    [32 + 24, 'routing-malformed'],
    [32 + 9, 'routing-malformed'],
  ] as const) {
    const sphinx = createSphinx({ group: 'X25519', headerLen, bodyLen: 64 }, native);
    const [hop] = freshPath(sphinx, native, [RELAY]);
    if (!hop) throw new Error('one hop was asked for');
    const forged = forgePacket(sphinx, native, hop.publicKey, withLengthByte(reply));
    const result = sphinx.peel(hop.secret, forged);
    t.is(result.kind === 'drop' ? result.reason : result.routing.kind, expected);
  }
});

test('a routing that leaves no room in a short beta is routing-malformed', (t) => {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 72, bodyLen: 64 }, native);
  const [hop] = freshPath(sphinx, native, [RELAY]);
  const outcome = (plain: Uint8Array) => {
    if (!hop) throw new Error('one hop was asked for');
    const forged = forgePacket(sphinx, native, hop.publicKey, plain);
    const result = sphinx.peel(hop.secret, forged);
    return result.kind === 'drop' ? result.reason : result.routing.kind;
  };
  t.is(outcome(withLengthByte(RELAY, 127)), 'routing-malformed');
  t.is(
    outcome(withLengthByte(RELAY)),
    'routing-malformed',
    'no room for the next gamma: 27 + 16 > 40',
  );
  t.is(outcome(withLengthByte(bytes('92a2c3b0c401c2'))), 'other', '8 + 16 fits');
  t.is(outcome(withLengthByte(deliverRouting())), 'deliver');
});

test('one bit changed anywhere in a packet never leaves it whole', (t) => {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 256 }, native);
  const [exit] = freshPath(sphinx, native, [RELAY]);
  if (!exit) throw new Error('one hop was asked for');
  const packet = sphinx.build([exit], fromUtf8('mail'), fromUtf8('hello'));
  const bodyStart = sphinx.packetBytes - 256;
  for (let bit = 0; bit < packet.length * 8; bit += bit < bodyStart * 8 ? 1 : 5) {
    const bad = flipped(packet, bit >> 3, 1 << (bit & 7));
    const result = sphinx.peel(exit.secret, bad);
    if (result.kind === 'drop') {
      t.true(bit >> 3 < bodyStart && /^(point-invalid|mac-mismatch)$/.test(result.reason));
    } else {
      t.true(bit >> 3 >= bodyStart);
      t.deepEqual(sphinx.openForward(result.macKey, result.delta), {
        kind: 'drop',
        reason: 'body-mac-mismatch',
      });
    }
  }
});

test('peel answers whatever a peer sends, and never throws', (t) => {
  for (const primitives of primitiveSets) {
    for (const group of GROUPS) {
      const sphinx = createSphinx({ group, headerLen: 100, bodyLen: 64 }, primitives);
      const [hop, exit] = freshPath(sphinx, primitives, [RELAY, RELAY]);
      if (!hop || !exit) throw new Error('two hops were asked for');
      const packet = sphinx.build([hop, exit], fromUtf8('mail'), fromUtf8('hello'));
      const any = fc.oneof(
        fc.uint8Array({ maxLength: 2 * sphinx.packetBytes }),
        fc.uint8Array({ minLength: sphinx.packetBytes, maxLength: sphinx.packetBytes }),
        fc
          .tuple(fc.nat(packet.length - 1), fc.integer({ min: 1, max: 255 }))
          .map(([offset, mask]) => flipped(packet, offset, mask)),
        fc
          .uint8Array({ maxLength: sphinx.partBytes.beta })
          .map((plain) => forgePacket(sphinx, primitives, hop.publicKey, plain)),
        fc
          .uint8Array({ maxLength: 60 })
          .map((routing) =>
            forgePacket(sphinx, primitives, hop.publicKey, withLengthByte(routing)),
          ),
      );
      const slow = primitives.name === 'portable' || group === 'P-224';
      fc.assert(
        fc.property(any, (input) => {
          const result = sphinx.peel(hop.secret, input);
          if (result.kind === 'drop') return;
          t.is(result.out.length, sphinx.packetBytes);
          const opened = sphinx.openForward(result.macKey, result.delta);
          t.truthy('kind' in opened ? opened.reason : opened.dest);
        }),
        { numRuns: slow ? 60 : 1500 },
      );
    }
  }
});

test('a secret of a wrong length is our own bug, and says so', (t) => {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 1024 }, native);
  const packet = new Uint8Array(sphinx.packetBytes);
  t.throws(() => sphinx.peel(new Uint8Array(31), packet), {
    instanceOf: RangeError,
    message: 'secret: expected 32 bytes, got 31',
  });
});
