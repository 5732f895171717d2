import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  checkCounts,
  chooseClosing,
  decodeCycleProof,
  decodeLinkProof,
  encodeCycleProof,
  encodeLinkProof,
  reviewClosing,
  type BoxMessage,
  type LinkCount,
} from '../../src/mixnet/batch-cycle.ts';

const recipient = createIdentity(native).peerId;
const sender = createIdentity(native).peerId;

const read = (id: number): BoxMessage => ({
  id,
  messageHash: toHex(native.sha256(fromUtf8(`${id}`))),
});
const inbox = [1, 2, 3, 4, 5, 6].map(read);
const hashes = (list: readonly BoxMessage[]): string[] =>
  list.map((message) => message.messageHash).toSorted();
const link = (took: number, gave: number, drops = {}): LinkCount => ({ took, gave, drops });
const sizes = { sizeMin: 5, sizeMax: 6 };

test('a closing of all that was read is signed, later arrivals left for the next cycle', (t) => {
  t.is(reviewClosing(hashes(inbox), inbox, hashes(inbox), sizes), null);
  const early = inbox.slice(0, 5);
  t.is(reviewClosing(hashes(early), inbox, hashes(early), sizes), null);
});

test('a closing that leaves out, invents, is too small, too large or unsorted is not signed', (t) => {
  const early = inbox.slice(0, 5);
  t.is(reviewClosing(hashes(early), inbox, hashes(inbox), sizes), 'message-left-out');
  const gap = inbox.filter(({ id }) => id !== 3);
  t.is(reviewClosing(hashes(gap), inbox, [], sizes), 'message-left-out');
  t.is(reviewClosing(hashes(inbox), early, hashes(early), sizes), 'message-unseen');
  t.is(reviewClosing(hashes(inbox.slice(0, 4)), inbox, [], sizes), 'size-too-small');
  const many = [...inbox, read(7)];
  t.is(reviewClosing(hashes(many), many, [], sizes), 'size-too-large');
  t.is(reviewClosing(hashes(inbox).toReversed(), inbox, [], sizes), 'hashes-unsorted');
});

test('what is chosen to close with passes the review of everybody who was shown the same', (t) => {
  t.is(chooseClosing(inbox.slice(0, 4), sizes), null);
  const many = [...inbox, read(7), read(8)];
  const chosen = chooseClosing(many, sizes) as string[];
  t.is(chosen.length, 6);
  t.is(reviewClosing(chosen, many, chosen, sizes), null);
});

test('links that take, drop and give what adds up are believed, others not', (t) => {
  t.is(checkCounts(5, [link(5, 5), link(5, 4, { replayed: 1 }), link(4, 4)]), null);
  t.is(checkCounts(5, [link(5, 4), link(4, 4)]), 'count-differs');
  t.is(checkCounts(5, [link(4, 4)]), 'count-differs');
  t.is(checkCounts(5, [link(5, 5), link(4, 4)]), 'count-differs');
  t.is(checkCounts(5, [link(5, 6)]), 'count-differs');
});

test('proofs are read exactly as they were written', (t) => {
  const proof = { cycle: sender, drops: { replayed: 2 } };
  t.deepEqual(decodeLinkProof(encodeLinkProof(proof)), proof);
  t.is(decodeLinkProof(undefined), null);
  t.is(decodeLinkProof(encodeLinkProof({ ...proof, drops: { replayed: -1 } })), null);
  t.is(decodeLinkProof(` ${encodeLinkProof(proof)}`), null);
  t.deepEqual(
    decodeCycleProof(encodeCycleProof([sender, recipient])),
    [sender, recipient].toSorted(),
  );
  t.is(decodeCycleProof('{"dummies":["x"]}'), null);
});
