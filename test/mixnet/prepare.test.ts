import test from 'ava';
import { concat, writeUint } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { coverMessage, DESTINATIONS, destinationOf } from '../../src/mixnet/cover.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import {
  fragmentMail,
  joinMail,
  prepareCover,
  prepareFragment,
  splitMail,
} from '../../src/mixnet/prepare.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from './made-directory.ts';
import { seededRandom } from './seeded-random.ts';

const params = { group: 'X25519', headerLen: 320, bodyLen: 2048 } as const;
const sphinx = createSphinx(params, native);
const geometry = geometryOf(sphinx);
const random = seededRandom(1);
const secrets = new Map<string, Uint8Array>();
const keyed = (number: number, roles: readonly ('mix' | 'gateway')[]) => {
  const node = madeNode(number, { roles });
  const secret = random(32);
  secrets.set(node.peerId, secret);
  const publicKey = native.group('X25519').publicKey(secret);
  return { ...node, endpoints: node.endpoints.map((endpoint) => ({ ...endpoint, publicKey })) };
};
const directory = madeDirectory([
  ...[1, 2, 3, 4].map((number) => keyed(number, ['mix'])),
  keyed(8, ['gateway']),
  keyed(9, ['gateway']),
]);
const query = { directory, entry: peerIdOf(8), exit: peerIdOf(9), nowMs: NOW_MS };
const mail = { messageId: '07'.repeat(16), expiryMs: NOW_MS + 1000 };

/** What the exit finds in a packet after every hop has peeled it. */
function open(packet: Uint8Array, first: string): { dest: Uint8Array; message: Uint8Array } {
  let at = first;
  for (let left = packet; ;) {
    const peeled = sphinx.peel(secrets.get(at) as Uint8Array, left);
    if (peeled.kind === 'drop') throw new Error(peeled.reason);
    if (peeled.routing.kind === 'deliver') {
      const payload = sphinx.openForward(peeled.macKey, peeled.delta);
      if ('kind' in payload) throw new Error(payload.reason);
      return payload;
    }
    if (peeled.routing.kind !== 'relay') throw new Error(peeled.routing.kind);
    at = peerIdOf(peeled.routing.address[0] as number);
    left = peeled.out;
  }
}

test('envelope and data come apart again', (t) => {
  const whole = joinMail(new Uint8Array([1, 2]), new Uint8Array([3]));
  t.deepEqual(splitMail(whole), {
    signedEnvelope: new Uint8Array([1, 2]),
    data: new Uint8Array([3]),
  });
  t.is(splitMail(new Uint8Array(3)), null);
  t.is(splitMail(concat(writeUint(2, 4), new Uint8Array(1))), null);
});

test('the same mail gives the same fragments, so that doing it twice is harmless', (t) => {
  const data = random(3000);
  const fragments = fragmentMail(mail, new Uint8Array(200), data, geometry);
  t.is(fragments.length, 3);
  t.deepEqual(fragmentMail(mail, new Uint8Array(200), data, geometry), fragments);
});

test('fragment and cover differ in nothing but what their exit reads', (t) => {
  const [fragment] = fragmentMail(mail, new Uint8Array(9), random(5), geometry);
  const sent = prepareFragment(sphinx, geometry, random, query, fragment as never);
  const cover = prepareCover(sphinx, geometry, random, query);
  if (sent.kind !== 'packet' || cover.kind !== 'packet') throw new Error('no route');
  t.is(sent.packet.length, sphinx.packetBytes);
  t.is(cover.packet.length, sphinx.packetBytes);
  t.is(sent.freshUntilMs, NOW_MS + 3 * 3_600_000);
  const fragmentPayload = open(sent.packet, sent.first.node.peerId);
  const coverPayload = open(cover.packet, cover.first.node.peerId);
  t.is(destinationOf(fragmentPayload.dest), 'mail');
  t.is(destinationOf(coverPayload.dest), 'cover');
  t.is(fragmentPayload.message.length, coverPayload.message.length);
  t.deepEqual(coverPayload.message, coverMessage(geometry));
});

test('a dest that is no word of ours is none', (t) => {
  t.is(destinationOf(DESTINATIONS.mail), 'mail');
  t.is(destinationOf(new Uint8Array()), null);
  t.is(destinationOf(concat(DESTINATIONS.mail, new Uint8Array(1))), null);
});

test('without a route there is no packet, and the reason says why', (t) => {
  t.deepEqual(prepareCover(sphinx, geometry, random, { ...query, exit: peerIdOf(1) }), {
    kind: 'none',
    reason: 'exit-unknown',
  });
});
