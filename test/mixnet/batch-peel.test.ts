import test from 'ava';
import { fromHex, fromUtf8, toBase64url, toHex } from '../../src/bytes.ts';
import { createIdentity, createMixKey, nodeAddress } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import type { GroupName } from '../../src/crypto/primitives.ts';
import { mixBatch, openBatch, type BatchPosition } from '../../src/mixnet/batch-peel.ts';
import { batchRandom } from '../../src/mixnet/batch-random.ts';
import { shuffle } from '../../src/mixnet/draw.ts';
import { createSphinx, deliverRouting, relayRouting, type Hop } from '../../src/sphinx/index.ts';
import { seededRandom } from './seeded-random.ts';

interface Chain {
  readonly hops: readonly Hop[];
  readonly positions: readonly BatchPosition[];
  readonly send: (recipient: string, message: string) => string;
}

function createChain(group: GroupName, length = 3): Chain {
  const sphinx = createSphinx({ group, headerLen: 192, bodyLen: 1024 }, native);
  const links = Array.from({ length }, () => {
    const owner = createIdentity(native).peerId;
    const key = createMixKey(native, native.group(group));
    return { owner, key, address: nodeAddress(native, owner, key.publicKey) };
  });
  const hops = links.map(({ key, address }) => ({
    routing: relayRouting(address, 0),
    publicKey: key.publicKey,
  }));
  const positions = links.map(({ key }, index): BatchPosition => {
    const next = links[index + 1];
    return {
      sphinx,
      primitives: native,
      secret: key.secret,
      orderKey: native.random(32),
      relayTo: (address) => (next && toHex(next.address) === toHex(address) ? next.owner : null),
      delivers: next === undefined,
    };
  });
  const send = (recipient: string, message: string): string =>
    toBase64url(sphinx.build(hops, fromHex(recipient) as Uint8Array, fromUtf8(message)));
  return { hops, positions, send };
}

const hashOf = (text: string): string => toHex(native.sha256(fromUtf8(text)));
const inputsOf = (texts: readonly string[]) =>
  texts.map((text) => ({ messageHash: hashOf(text), text }));

function pass(position: BatchPosition, texts: readonly string[], batch = 'gateway_1') {
  const { opened, drops } = openBatch(position, inputsOf(texts));
  const mixed = mixBatch(position, batch, opened);
  return { ...mixed, refused: drops };
}

for (const group of ['X25519', 'P-224'] as const) {
  test(`five messages cross three links of ${group} with HEADER_LEN 192 and BODY_LEN 1024`, (t) => {
    const { positions, send } = createChain(group);
    const recipient = createIdentity(native).peerId;
    const messages = ['one', 'two', 'three', 'four', 'five'];
    let texts = messages.map((message) => send(recipient, message));
    for (const position of positions) {
      const { outputs, drops, refused } = pass(position, texts);
      t.deepEqual([drops, refused], [{}, {}]);
      texts = outputs.map((output) => output.text);
    }
    const last = texts.toSorted();
    t.deepEqual(last, messages.map((message) => toBase64url(fromUtf8(message))).toSorted());
  });
}

test('a link gives the same messages in the same order each time it is asked, and another for another batch', (t) => {
  const { positions, send } = createChain('X25519');
  const recipient = createIdentity(native).peerId;
  const texts = Array.from({ length: 12 }, (_, i) => send(recipient, `message ${i}`));
  const [first] = positions as [BatchPosition];
  const once = pass(first, texts);
  const again = pass(first, texts.toReversed());
  t.deepEqual(again.outputs, once.outputs);
  const other = pass(first, texts, 'gateway_2');
  t.notDeepEqual(
    other.outputs.map((output) => output.text),
    once.outputs.map((output) => output.text),
  );
  t.is(new Set([...once.outputs, ...other.outputs].map((output) => output.serial)).size, 24);
});

test('each order of four messages comes equally often over many cycles (chi-square)', (t) => {
  const key = seededRandom(1)(32);
  const cycles = 24 * 500;
  const counts = new Map<string, number>();
  for (let cycle = 0; cycle < cycles; cycle++) {
    const random = batchRandom(native, key, 'batchOrder', `gateway_${cycle}`);
    const order = shuffle(random, [0, 1, 2, 3]).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  t.is(counts.size, 24);
  const expected = cycles / 24;
  const squares = [...counts.values()].map((count) => (count - expected) ** 2 / expected);
  // 23 degrees of freedom: 49.7 is exceeded by chance once in a thousand seeds.
  t.true(squares.reduce((sum, square) => sum + square, 0) < 49.7);
});

test('where a message stands at the end says nothing of where it stood before (chi-square)', (t) => {
  const { positions, send } = createChain('X25519', 1);
  const recipient = createIdentity(native).peerId;
  const seeded = { ...(positions[0] as BatchPosition), orderKey: seededRandom(2)(32) };
  const texts = Array.from({ length: 5 }, (_, i) => send(recipient, String(i)));
  // Hashes are the places that the controller sees; the texts are the same in every cycle.
  const { opened } = openBatch(seeded, inputsOf(texts));
  const cells = Array.from({ length: 5 }, () => [0, 0, 0, 0, 0]);
  const cycles = 1_000;
  for (let cycle = 0; cycle < cycles; cycle++) {
    // `peelBody` wipes a header's blinding: each cycle gets headers of its own.
    const headers = opened.map((input) => ({ ...input, header: copyOf(input.header) }));
    const { outputs } = mixBatch(seeded, `gateway_${cycle}`, headers);
    for (const [place, output] of outputs.entries()) {
      const from = Number(Buffer.from(output.text, 'base64url').toString());
      const row = cells[from] as number[];
      row[place] = (row[place] as number) + 1;
    }
  }
  const squares = cells.flat().map((count) => (count - cycles / 5) ** 2 / (cycles / 5));
  // 16 degrees of freedom: 39.3 is exceeded once in a thousand seeds.
  t.true(squares.reduce((sum, square) => sum + square, 0) < 39.3);
});

test('a packet that is malformed, for another link or past the chain is dropped with its reason', (t) => {
  const { hops, positions, send } = createChain('X25519');
  const [first, second, last] = positions as [BatchPosition, BatchPosition, BatchPosition];
  const recipient = createIdentity(native).peerId;
  const packet = Buffer.from(send(recipient, 'x'), 'base64url');
  const build = (route: readonly Hop[], dest: Uint8Array, message = 'x'): string =>
    toBase64url(first.sphinx.build(route, dest, fromUtf8(message)));
  const to = fromHex(recipient) as Uint8Array;
  const rows: [string, BatchPosition, string][] = [
    ['text-malformed', first, 'not base64url!'],
    ['packet-length', first, packet.subarray(1).toString('base64url')],
    ['mac-mismatch', second, packet.toString('base64url')],
    ['route-short', first, build(hops.slice(0, 1), to)],
    ['route-foreign', first, build([hops[0] as Hop, hops[2] as Hop], to)],
    ['route-long', last, build([hops[2] as Hop, hops[0] as Hop], to)],
    ['dest-unknown', last, build(hops.slice(2), fromUtf8('mail'))],
    ['message-empty', last, build(hops.slice(2), to, '')],
  ];
  for (const [reason, position, text] of rows) {
    const { outputs, drops, refused } = pass(position, [text]);
    t.deepEqual({ ...drops, ...refused }, { [reason]: 1 }, reason);
    t.deepEqual(outputs, []);
  }
  const touched = Uint8Array.from(Buffer.from(build(hops.slice(2), to), 'base64url'));
  touched[touched.length - 1] = (touched.at(-1) as number) ^ 1;
  t.deepEqual(pass(last, [toBase64url(touched)]).drops, { 'body-mac-mismatch': 1 });
  t.is(
    pass(last, [build([{ ...(hops[2] as Hop), routing: deliverRouting() }], to)]).outputs.length,
    1,
  );
});

function copyOf<Header extends { blinding: Uint8Array; macKey: Uint8Array }>(
  header: Header,
): Header {
  return { ...header, blinding: header.blinding.slice(), macKey: header.macKey.slice() };
}

test('another input of the same batch is drawn another order and other serials', (t) => {
  const { positions, send } = createChain('X25519', 1);
  const recipient = createIdentity(native).peerId;
  const texts = Array.from({ length: 8 }, (_, index) => send(recipient, `message ${index}`));
  const position = positions[0] as BatchPosition;
  const serialsOf = (given: readonly string[]): string[] =>
    pass(position, given).outputs.map(({ serial }) => serial);
  const whole = serialsOf(texts);
  t.deepEqual(serialsOf(texts), whole);
  t.false(serialsOf(texts.slice(1)).some((serial) => whole.includes(serial)));
});
