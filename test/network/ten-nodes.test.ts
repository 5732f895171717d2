import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { relayRouting } from '../../src/sphinx/index.ts';
import type { DirectoryEndpoint } from '../../src/mixnet/directory.ts';
import { DESTINATIONS } from '../../src/mixnet/cover.ts';
import { InProcessNetwork, type NetworkNode } from './in-process.ts';

const MINUTE_MS = 60_000;
/** Fast enough for seconds, slow enough that a minute of cover from four gateways takes one second. */
const BRISK = { ticksPerSecond: 5, delayMeanMs: 300 };

function count(nodes: readonly NetworkNode[], name: string): number {
  return nodes.reduce((sum, node) => sum + (node.counts.get(name) ?? 0), 0);
}

function at(node: NetworkNode): DirectoryEndpoint {
  return node.entry.endpoints[0] as DirectoryEndpoint;
}

function delivered(network: InProcessNetwork): number {
  return network.gateways.reduce((sum, gateway) => sum + gateway.delivered.length, 0);
}

/** Mails of these sizes between gateways drawn in turn; says whether each arrived once, unchanged. */
function sendMails(network: InProcessNetwork, sizes: readonly number[]): () => boolean {
  const { gateways } = network;
  const sent = sizes.map((size, i) => {
    const from = gateways[i % gateways.length] as NetworkNode;
    const to = gateways[(i + 1 + (i % (gateways.length - 1))) % gateways.length] as NetworkNode;
    const data = network.random(size);
    return { to, data, envelope: network.accept(from, to, data) };
  });
  return () =>
    sent.every(({ to, data, envelope }) => {
      const arrived = to.delivered.filter((mail) => mail.envelope.messageId === envelope.messageId);
      return arrived.length === 1 && toHex(arrived[0]?.data as Uint8Array) === toHex(data);
    });
}

test('mails of many sizes cross ten nodes byte for byte', (t) => {
  const network = new InProcessNetwork({ seed: 1, traffic: BRISK });
  const full = network.geometry.fragmentBytes;
  const sizes = [0, 1, 100, full - 1, full, full + 1, 4000, 9999, 20_000];
  const allArrived = sendMails(network, sizes);
  t.true(network.runUntil(allArrived, 10 * MINUTE_MS));
  t.is(delivered(network), sizes.length);
  for (const reason of ['mac-mismatch', 'replayed', 'unknown-next-hop', 'delay-too-long'])
    t.is(count(network.nodes, reason), 0);
  t.true(count(network.gateways, 'cover') > 0);
});

test('a mail crosses in packets of the size that gateways use by default', (t) => {
  const params = { group: 'X25519', headerLen: 320, bodyLen: 32_768 } as const;
  const network = new InProcessNetwork({ seed: 2, params, traffic: BRISK });
  t.true(network.runUntil(sendMails(network, [100_000]), 5 * MINUTE_MS));
});

test('every packet on every link has one size, and every route its mixes of three owners', (t) => {
  const network = new InProcessNetwork({ seed: 3, traffic: BRISK });
  sendMails(network, [20_000]);
  network.run(20_000);
  t.deepEqual([...new Set(network.seen.map(({ bytes }) => bytes))], [network.sphinx.packetBytes]);
  const gateways = new Set(network.gateways.map(({ identity }) => identity.peerId));
  // No gateway ever posts to a gateway, and what leaves gateways reaches gateways by three mixes.
  t.true(network.seen.every(({ from, to }) => !gateways.has(from) || !gateways.has(to)));
  const between = network.seen.filter(({ from, to }) => !gateways.has(from) && !gateways.has(to));
  const first = network.seen.filter(({ from }) => gateways.has(from));
  t.true(Math.abs(between.length / first.length - 2) < 0.2);
});

test('the rate of a gateway is the same with mail and without', (t) => {
  const rates = [0, 1].map((mails) => {
    const network = new InProcessNetwork({ seed: 4, traffic: BRISK });
    const gateway = network.gateways[0] as NetworkNode;
    for (let i = 0; i < mails; i++)
      network.accept(gateway, network.gateways[1] as NetworkNode, network.random(200_000));
    network.run(MINUTE_MS);
    return network.seen.filter(({ from }) => from === gateway.identity.peerId).length;
  });
  // 300 ticks each, standard deviation of a difference 24: five of them.
  t.true(Math.abs((rates[0] as number) - (rates[1] as number)) < 122, rates.join());
});

test('a mix that is down for a while holds mail up and loses none', (t) => {
  const network = new InProcessNetwork({ seed: 5, traffic: BRISK });
  const allArrived = sendMails(network, [5000, 5000, 5000, 5000]);
  network.run(2000);
  const mix = network.mixes[0] as NetworkNode;
  network.stop(mix);
  network.run(20_000);
  t.false(allArrived());
  t.true(mix.inbox.length > 0);
  network.start(mix);
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
});

test('gateways stopped in turn go on where they were', (t) => {
  const network = new InProcessNetwork({ seed: 6, traffic: BRISK });
  const allArrived = sendMails(network, [5000, 5000, 5000, 5000]);
  for (const gateway of network.gateways) {
    network.run(2000);
    network.stop(gateway);
    network.run(5000);
    network.start(gateway);
  }
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
});

test('a controller that does not answer is posted to until it does', (t) => {
  const network = new InProcessNetwork({ seed: 7, traffic: BRISK });
  const allArrived = sendMails(network, [5000, 5000]);
  for (const mix of network.mixes.slice(0, 3)) mix.controllerAnswers = false;
  network.run(20_000);
  t.false(allArrived());
  for (const mix of network.mixes) mix.controllerAnswers = true;
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
});

test('packets sent twice arrive once, and each repeat is dropped as replayed', (t) => {
  const network = new InProcessNetwork({ seed: 8, traffic: BRISK });
  for (const mix of network.mixes) mix.tamper = (packet) => [packet, packet];
  const allArrived = sendMails(network, [8000, 8000]);
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
  t.is(delivered(network), 2);
  t.true(count(network.nodes, 'replayed') > 50);
});

test('a packet recorded and posted again later leaves nowhere, also after a restart', (t) => {
  const network = new InProcessNetwork({ seed: 9, traffic: BRISK });
  const mix = network.mixes[0] as NetworkNode;
  const recorded: Uint8Array[] = [];
  for (const other of network.nodes) {
    other.tamper = (packet) => {
      recorded.push(packet);
      return [packet];
    };
  }
  network.run(8000);
  network.stop(mix);
  network.start(mix);
  const address = mix.entry.endpoints[0]?.address as Uint8Array;
  const forwards = mix.counts.get('forward');
  const before = mix.counts.get('replayed') ?? 0;
  for (const packet of recorded) network.post('somebody', address, packet);
  t.is(mix.counts.get('forward'), forwards);
  // Those that were this mix's own are replays, all others were made for another key.
  t.true((mix.counts.get('replayed') ?? 0) - before >= (forwards as number));
  t.true((mix.counts.get('mac-mismatch') ?? 0) > 0);
});

test('fragments that arrive in reverse make the same mail', (t) => {
  const network = new InProcessNetwork({ seed: 10, traffic: BRISK });
  const allArrived = sendMails(network, [12_000]);
  for (const waiting of network.gateways[0]?.outbound.values() ?? []) waiting.reverse();
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
});

for (const [part, offset, reason] of [
  ['element', 3, 'mac-mismatch'],
  ['header', 40, 'mac-mismatch'],
  ['MAC', 325, 'mac-mismatch'],
] as const) {
  test(`a byte flipped in the ${part} is dropped by the next hop: ${reason}`, (t) => {
    const network = new InProcessNetwork({ seed: 11, traffic: BRISK });
    const hostile = network.mixes[0] as NetworkNode;
    hostile.tamper = (packet) => [packet.with(offset, (packet[offset] as number) ^ 1)];
    network.run(10_000);
    const others = network.nodes.filter((node) => node !== hostile);
    t.true(count(others, reason) > 20);
    t.is(count([hostile], reason), 0);
  });
}

test('a byte flipped in the body goes on as noise, and the exit drops it', (t) => {
  const network = new InProcessNetwork({ seed: 12, traffic: BRISK });
  const hostile = network.mixes[0] as NetworkNode;
  hostile.tamper = (packet) => [packet.with(1000, (packet[1000] as number) ^ 1)];
  network.run(10_000);
  t.is(count(network.mixes, 'body-mac-mismatch'), 0);
  t.true(count(network.gateways, 'body-mac-mismatch') > 20);
});

test('a mail that has not crossed before its expiry is not delivered late', (t) => {
  const expiryMs = 20_000;
  const network = new InProcessNetwork({ seed: 13, traffic: { ...BRISK, expiryMs } });
  const [from, to] = network.gateways as readonly [NetworkNode, NetworkNode];
  network.accept(from, to, network.random(5000));
  network.run(1000);
  network.stop(to);
  network.run(30_000);
  network.start(to);
  network.run(1000);
  t.is(delivered(network), 0);
  t.true(count([to], 'fragment-expired') > 0);
});

test('a hop that no directory knows, a delay above the cap and a strange dest are named drops', (t) => {
  const network = new InProcessNetwork({ seed: 14, traffic: BRISK });
  const [mix, other] = network.mixes as readonly [NetworkNode, NetworkNode];
  const gateway = network.gateways[0] as NetworkNode;
  const send = (
    address: Uint8Array,
    delayMs: number,
    last: NetworkNode,
    dest: Uint8Array,
  ): void => {
    const hops = [
      { publicKey: at(mix).publicKey, routing: relayRouting(at(mix).address, 0) },
      { publicKey: at(last).publicKey, routing: relayRouting(address, delayMs) },
    ];
    network.post('somebody', at(mix).address, network.sphinx.build(hops, dest, new Uint8Array(9)));
    network.run(20 * BRISK.delayMeanMs + 1000);
  };
  send(new Uint8Array(16).fill(9), 0, gateway, DESTINATIONS.mail);
  t.is(count([mix], 'unknown-next-hop'), 1);
  send(at(gateway).address, 20 * BRISK.delayMeanMs + 1, gateway, DESTINATIONS.mail);
  t.is(count([mix], 'delay-too-long'), 1);
  send(at(gateway).address, 0, gateway, new Uint8Array([1, 2, 3]));
  t.is(count([gateway], 'dest-unknown'), 1);
  send(at(gateway).address, 20 * BRISK.delayMeanMs, gateway, DESTINATIONS.mail);
  t.is(count([gateway], 'fragment-malformed'), 1);
  send(at(other).address, 0, other, DESTINATIONS.mail);
  t.is(count([other], 'not-an-exit'), 1);
});

test('a node that is a gateway only relays for nobody', (t) => {
  const network = new InProcessNetwork({ seed: 16, traffic: BRISK });
  const [gateway, other] = network.gateways as readonly [NetworkNode, NetworkNode];
  const hops = [
    { publicKey: at(gateway).publicKey, routing: relayRouting(at(gateway).address, 0) },
    { publicKey: at(other).publicKey, routing: relayRouting(at(other).address, 0) },
  ];
  const packet = network.sphinx.build(hops, DESTINATIONS.cover, new Uint8Array(9));
  network.post('somebody', at(gateway).address, packet);
  network.run(1000);
  t.is(count([gateway], 'not-a-mix'), 1);
});

test('a mail is delivered only by its exit, from a domain of its gateway, to domains of the exit', (t) => {
  const network = new InProcessNetwork({ seed: 15, traffic: BRISK });
  const [from, to, third] = network.gateways as readonly [NetworkNode, NetworkNode, NetworkNode];
  const domain = third.entry.domains[0] as string;
  network.accept(from, to, network.random(10), { from: `eve@${domain}` });
  network.accept(from, to, network.random(10), { recipients: [{ address: `bob@${domain}` }] });
  network.accept(from, to, network.random(10), { bytes: 11 });
  network.accept(from, to, network.random(10), { sha256: '0'.repeat(64) });
  network.run(20_000);
  t.is(delivered(network), 0);
  t.is(count([to], 'sender-domain-foreign'), 1);
  t.is(count([to], 'recipients-foreign'), 1);
  t.is(count([to], 'size-mismatch'), 1);
  t.is(count([to], 'hash-mismatch'), 1);
});

/** Fragments that a gateway still keeps. */
function kept(gateway: NetworkNode): number {
  return [...gateway.outbound.values()].reduce((sum, waiting) => sum + waiting.length, 0);
}

test('in an honest mixnet every fragment is sent once, and each packet is answered once', (t) => {
  const network = new InProcessNetwork({ seed: 17, traffic: BRISK });
  const allArrived = sendMails(network, [5000, 12_000]);
  t.true(network.runUntil(allArrived, 5 * MINUTE_MS));
  const fragments = count(network.gateways, 'sent-fragment');
  const settled = (): boolean => network.gateways.every((gateway) => kept(gateway) === 0);
  t.true(network.runUntil(settled, MINUTE_MS));
  t.is(count(network.gateways, 'sent-fragment'), fragments, 'none was sent again');
  t.is(fragments, count(network.gateways, 'fragment'));
  t.is(count(network.nodes, 'reply-unknown'), 0);
  t.is(count(network.nodes, 'reply-malformed'), 0);
  // Some 25 are still under way: 20 a second for 4 delays of 0.3 s.
  network.run(MINUTE_MS / 2);
  const ended = count(network.gateways, 'fragment') + count(network.gateways, 'cover');
  t.true(count(network.gateways, 'reply') > 0.9 * ended);
});

test('a mix that drops every third packet, acks among them, loses no mail and doubles none', (t) => {
  const network = new InProcessNetwork({ seed: 18, traffic: BRISK });
  let passed = 0;
  const hostile = network.mixes[0] as NetworkNode;
  hostile.tamper = (packet) => (passed++ % 3 === 0 ? [] : [packet]);
  const allArrived = sendMails(network, [5000, 5000, 5000, 12_000]);
  t.true(network.runUntil(allArrived, 10 * MINUTE_MS));
  const settled = (): boolean => network.gateways.every((gateway) => kept(gateway) === 0);
  t.true(network.runUntil(settled, 10 * MINUTE_MS));
  t.is(delivered(network), 4);
  t.true(count(network.gateways, 'sent-fragment') > 4, 'some were sent again');
});

test('where every ack is lost the mail arrives once all the same, and is sent until it expires', (t) => {
  const expiryMs = 2 * MINUTE_MS;
  const network = new InProcessNetwork({ seed: 19, traffic: { ...BRISK, expiryMs } });
  const [from, to] = network.gateways as readonly [NetworkNode, NetworkNode];
  const posted = network.post.bind(network);
  // Nothing that is posted for the sender reaches it: neither acks to it nor anything else.
  network.post = (sender, address, packet) =>
    Buffer.compare(address, at(from).address) === 0 || posted(sender, address, packet);
  network.accept(from, to, network.random(3000));
  t.true(network.runUntil(() => to.delivered.length === 1, MINUTE_MS));
  network.run(expiryMs);
  const sends = count([from], 'sent-fragment');
  t.true(sends > 4 && sends <= 2 * 8, `${sends} sends`);
  network.run(MINUTE_MS);
  t.is(count([from], 'sent-fragment'), sends, 'after its expiry it is not sent any more');
  t.is(delivered(network), 1);
});
