import test from 'ava';
import { concat, writeUint } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { buildAck, readAck, replyBlockOf } from '../../src/mixnet/ack.ts';
import { coverMessage, DESTINATIONS, destinationOf } from '../../src/mixnet/cover.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import {
  fragmentMail,
  joinMail,
  prepareCover,
  prepareFragment,
  prepareLoop,
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

/** A packet from hop to hop to its end: who peeled it, and how long the mixes were to hold it. */
function walk(packet: Uint8Array, first: string) {
  const passed: string[] = [];
  let delayMs = 0;
  let at = first;
  for (let left = packet; ;) {
    const peeled = sphinx.peel(secrets.get(at) as Uint8Array, left);
    if (peeled.kind === 'drop') throw new Error(peeled.reason);
    passed.push(at);
    if (peeled.routing.kind !== 'relay') return { peeled, at, passed, delayMs };
    delayMs += peeled.routing.delayMs;
    at = peerIdOf(peeled.routing.address[0] as number);
    left = peeled.out;
  }
}

/** What the exit finds in a packet after every hop has peeled it. */
function open(packet: Uint8Array, first: string): { dest: Uint8Array; message: Uint8Array } {
  const { peeled } = walk(packet, first);
  const payload = sphinx.openForward(peeled.macKey, peeled.delta);
  if ('kind' in payload) throw new Error(payload.reason);
  return payload;
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
  // The last to be reached is its sender, after all delays, the exit's own of 2 s on average among them.
  t.is(sent.freshUntilMs, NOW_MS + 3 * 3_600_000 - sent.trip.delayMs - 2000);
  const fragmentPayload = open(sent.packet, sent.first.node.peerId);
  const coverPayload = open(cover.packet, cover.first.node.peerId);
  t.is(destinationOf(fragmentPayload.dest), 'mail');
  t.is(destinationOf(coverPayload.dest), 'cover');
  t.is(fragmentPayload.message.length, coverPayload.message.length);
  const replyBlock = replyBlockOf(coverPayload.message, geometry);
  t.deepEqual(coverPayload.message, coverMessage(geometry, replyBlock));
  t.false(replyBlock.every((byte) => byte === 0));
  t.is(sent.reply.keytuple.length, cover.reply.keytuple.length);
  t.is(sent.trip.nodes.length, cover.trip.nodes.length);
});

test('a reply block in a packet leads its ack back, and the ack says what the exit decided', (t) => {
  const [fragment] = fragmentMail(mail, new Uint8Array(9), random(5), geometry);
  for (const verdict of ['kept', 'refused'] as const) {
    const sent = prepareFragment(sphinx, geometry, random, query, fragment as never);
    if (sent.kind !== 'packet') throw new Error('no route');
    const { message } = open(sent.packet, sent.first.node.peerId);
    const ack = buildAck(sphinx, replyBlockOf(message, geometry), verdict);
    if (ack === null) throw new Error('no ack');
    t.is(ack.packet.length, sphinx.packetBytes);
    const back = walk(ack.packet, peerIdOf(ack.next[0] as number));
    t.is(back.at, peerIdOf(8));
    const { routing, delta } = back.peeled;
    if (routing.kind !== 'reply') throw new Error(routing.kind);
    t.deepEqual(routing.id, sent.reply.id);
    t.is(readAck(sphinx, sent.reply.keytuple, delta), verdict);
    const other = prepareCover(sphinx, geometry, random, query);
    if (other.kind !== 'packet') throw new Error('no route');
    t.is(readAck(sphinx, other.reply.keytuple, delta), null);
    t.deepEqual(sent.trip.nodes.slice(-3), back.passed.slice(0, -1));
  }
});

test('the trip names every hop out and back and the sum of the delays that their headers hold', (t) => {
  const cover = prepareCover(sphinx, geometry, random, query);
  if (cover.kind !== 'packet') throw new Error('no route');
  const out = walk(cover.packet, cover.first.node.peerId);
  const { message } = open(cover.packet, cover.first.node.peerId);
  const ack = buildAck(sphinx, replyBlockOf(message, geometry), 'kept');
  if (ack === null) throw new Error('no ack');
  const back = walk(ack.packet, peerIdOf(ack.next[0] as number));
  t.deepEqual(cover.trip.nodes, [...out.passed, ...back.passed.slice(0, -1)]);
  t.is(cover.trip.delayMs, out.delayMs + back.delayMs);
});

test('a loop comes back to its sender over other mixes, and looks like every other packet', (t) => {
  const me = peerIdOf(1);
  const loop = prepareLoop(sphinx, random, { directory, me, nowMs: NOW_MS });
  if (loop.kind !== 'packet') throw new Error('no loop');
  t.is(loop.packet.length, sphinx.packetBytes);
  const back = walk(loop.packet, loop.first.node.peerId);
  t.is(back.at, me);
  t.deepEqual(back.passed, [...loop.trip.nodes, me]);
  t.is(back.delayMs, loop.trip.delayMs);
  t.deepEqual(back.peeled.routing.kind === 'reply' && back.peeled.routing.id, loop.reply.id);
});

test('bytes that are no reply block get no answer', (t) => {
  t.is(buildAck(sphinx, new Uint8Array(3), 'kept'), null);
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
