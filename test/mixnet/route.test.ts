import test from 'ava';
import { delayMsMax } from '../../src/mixnet/delay.ts';
import type { Directory, DirectoryEndpoint, DirectoryNode } from '../../src/mixnet/directory.ts';
import {
  chooseReturn,
  chooseRoute,
  ownersMissing,
  sphinxHops,
  type RouteHop,
} from '../../src/mixnet/route.ts';
import { readRouting } from '../../src/sphinx/routing.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from './made-directory.ts';
import { seededRandom } from './seeded-random.ts';

const ENTRY = peerIdOf(90);
const EXIT = peerIdOf(91);
const ends = [madeNode(90, { roles: ['gateway'] }), madeNode(91, { roles: ['gateway'] })] as const;
const mixes = [1, 2, 3, 4, 5].map((number) => madeNode(number));
const closed = { ...(madeNode(1).endpoints[0] as RouteHop['endpoint']), closesMs: NOW_MS };

function choose(directory: Directory, seed = 1, exit = EXIT): readonly RouteHop[] | string {
  const random = seededRandom(seed);
  const choice = chooseRoute(random, { directory, entry: ENTRY, exit, nowMs: NOW_MS });
  return choice.kind === 'route' ? choice.hops : choice.reason;
}

function peers(directory: Directory, seed: number): readonly string[] {
  const hops = choose(directory, seed);
  return typeof hops === 'string' ? [hops] : hops.map(({ node }) => node.peerId);
}

test('a route is three different mixes and the exit', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  for (let seed = 0; seed < 100; seed++) {
    const route = peers(directory, seed);
    t.is(route.length, 4);
    t.is(route[3], EXIT);
    t.is(new Set(route).size, 4);
    t.false(route.includes(ENTRY));
  }
});

test('every mix stands at every place equally often', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 6000; seed++) {
    for (const [place, peer] of peers(directory, seed).slice(0, 3).entries())
      seen.set(`${place} ${peer}`, (seen.get(`${place} ${peer}`) ?? 0) + 1);
  }
  t.is(seen.size, 15);
  for (const count of seen.values()) t.true(Math.abs(count - 1200) < 155, `${count}`);
});

test('mixes of one owner never share a route, and twenty of them are drawn no more than one', (t) => {
  const many = Array.from({ length: 20 }, (_, i) => madeNode(20 + i, { owner: peerIdOf(20) }));
  const directory = madeDirectory([...ends, ...mixes.slice(0, 3), ...many]);
  const ofMany = new Set(many.map(({ peerId }) => peerId));
  let drawn = 0;
  for (let seed = 0; seed < 2000; seed++) {
    const theirs = peers(directory, seed).filter((peer) => ofMany.has(peer)).length;
    t.true(theirs <= 1);
    drawn += theirs;
  }
  t.true(Math.abs(drawn - 1500) < 100, `${drawn}`); // three of four owners
});

for (const [what, over] of [
  ["of the sender's provider", { owner: ENTRY }],
  ["of the recipient's provider", { owner: EXIT }],
  ['that is paused', { paused: true }],
  ['without an open endpoint', { endpoints: [closed] }],
  ['that may not mix', { roles: ['gateway'] }],
] as const) {
  test(`a mix ${what} is on no route, though mail has to wait`, (t) => {
    const fine = madeDirectory([...ends, ...mixes.slice(0, 3)]);
    t.is(peers(fine, 1).length, 4);
    const without = madeDirectory([...ends, ...mixes.slice(0, 2), madeNode(3, over)]);
    t.is(choose(without), 'mixes-too-few');
    const query = { directory: without, entry: ENTRY, exit: EXIT, nowMs: NOW_MS };
    t.is(ownersMissing(query), 1);
    t.is(ownersMissing({ ...query, directory: fine }), 0);
  });
}

test('a paused gateway still sends and takes its mail, and mixes for nobody', (t) => {
  const paused = ends.map((node) => ({
    ...node,
    roles: ['mix', 'gateway'] as const,
    paused: true,
  }));
  const third = madeNode(92, { roles: ['gateway'] });
  const directory = madeDirectory([...paused, third, ...mixes.slice(0, 3)]);
  for (const [entry, exit] of [
    [ENTRY, EXIT],
    [ENTRY, third.peerId],
    [third.peerId, EXIT],
  ] as const) {
    for (let seed = 0; seed < 50; seed++) {
      const query = { directory, entry, exit, nowMs: NOW_MS };
      const choice = chooseRoute(seededRandom(seed), query);
      const route = choice.kind === 'route' ? choice.hops.map(({ node }) => node) : [];
      t.is(route.length, 4);
      t.is(route[3]?.peerId, exit);
      t.false(route.slice(0, 3).some((node) => node.paused));
    }
  }
});

test('gateways that also mix stand on no route of their own', (t) => {
  const both = ends.map((node) => ({ ...node, roles: ['mix', 'gateway'] as const }));
  t.is(choose(madeDirectory([...both, ...mixes.slice(0, 2)])), 'mixes-too-few');
});

test('fewer mixes only where the snapshot says so', (t) => {
  const directory = madeDirectory([...ends, ...mixes.slice(0, 1)]);
  t.is(choose(directory), 'mixes-too-few');
  const traffic = { ...directory.traffic, mixesPerRoute: 1 };
  t.deepEqual(peers({ ...directory, traffic }, 1), [peerIdOf(1), EXIT]);
});

test('an exit that is unknown, no gateway or closed is named', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  t.is(choose(directory, 1, peerIdOf(77)), 'exit-unknown');
  t.is(choose(directory, 1, peerIdOf(1)), 'exit-unknown');
  const shut = madeDirectory([ends[0], { ...ends[1], endpoints: [closed] }, ...mixes]);
  t.is(choose(shut), 'exit-closed');
});

test("a gateway's cover for itself goes over three mixes too", (t) => {
  const hops = choose(madeDirectory([...ends, ...mixes]), 1, ENTRY);
  t.is(hops.length, 4);
});

test('each mix reads the address of the next hop and its own delay', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  const query = { directory, entry: ENTRY, exit: EXIT, nowMs: NOW_MS };
  const route = chooseRoute(seededRandom(7), query);
  if (route.kind === 'none') throw new Error(route.reason);
  const { hops, delaysMs } = route;
  t.is(delaysMs.length, 3);
  const sphinx = sphinxHops(route);
  const delays = sphinx.map(({ routing }, i) => {
    const read = readRouting(routing);
    if (typeof read === 'string' || read.kind !== 'relay') throw new Error('no relay');
    t.deepEqual(read.address, hops[i]?.endpoint.address as Uint8Array);
    t.true(read.delayMs <= delayMsMax(2000));
    return read.delayMs;
  });
  t.deepEqual(delays, [0, ...delaysMs]);
  t.is(new Set(delays).size, 4);
  t.deepEqual(
    sphinx.map(({ publicKey }) => publicKey),
    hops.map(({ endpoint }) => endpoint.publicKey),
  );
});

test('a reply block leads over three mixes that are neither end, back to its maker', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  const query = { directory, from: EXIT, me: ENTRY, nowMs: NOW_MS };
  const back = chooseReturn(seededRandom(1), query);
  if (back.kind === 'none') throw new Error(back.reason);
  t.is(back.hops.length, 4);
  t.is(back.hops[3]?.node.peerId, ENTRY);
  t.is(new Set(back.hops.map(({ node }) => node.owner)).size, 4);
  t.false(back.hops.some(({ node }) => node.peerId === EXIT));
});

test('a loop takes as many other mixes as there are, at least one', (t) => {
  const me = mixes[0]?.peerId as string;
  const loopOver = (others: number) => {
    const directory = madeDirectory([...ends, ...mixes.slice(0, 1 + others)]);
    const query = { directory, from: me, me, nowMs: NOW_MS };
    const back = chooseReturn(seededRandom(1), query);
    return back.kind === 'none' ? back.reason : back.hops.map(({ node }) => node.peerId);
  };
  t.is(loopOver(0), 'mixes-too-few');
  t.deepEqual(loopOver(1), [mixes[1]?.peerId as string, me]);
  t.is(loopOver(2).length, 3);
});

test('no reply can come to a node that has no open endpoint', (t) => {
  const directory = madeDirectory([...ends, ...mixes]);
  const query = { directory, from: EXIT, me: 'ff'.repeat(32), nowMs: NOW_MS };
  t.deepEqual(chooseReturn(seededRandom(1), query), { kind: 'none', reason: 'self-closed' });
});

/** A node with the keys of an hour in steps of 2 s, each beside the next for a second. */
function rotating(node: DirectoryNode): DirectoryNode {
  const [endpoint] = node.endpoints as [DirectoryEndpoint];
  const endpoints = Array.from({ length: 1800 }, (_, i) => ({
    ...endpoint,
    endpointId: `key_${i}`,
    opensMs: NOW_MS + 2000 * i - 1000,
    closesMs: NOW_MS + 2000 * i + 2000,
  }));
  return { ...node, endpoints };
}

/** Of two that are open the second: from a second before its step to a second before the next. */
function keyAt(atMs: number): string {
  return `key_${Math.floor((atMs - NOW_MS + 1000) / 2000)}`;
}

test('for each hop, out and back, the key is the one in use when the packet arrives there', (t) => {
  const directory = madeDirectory([...ends, ...mixes].map(rotating));
  for (let seed = 0; seed < 200; seed++) {
    const random = seededRandom(seed);
    const out = chooseRoute(random, { directory, entry: ENTRY, exit: EXIT, nowMs: NOW_MS });
    if (out.kind === 'none') return t.fail(out.reason);
    const answer = { directory, from: EXIT, me: ENTRY, nowMs: out.arrivesMs + 2000 };
    const back = chooseReturn(random, answer);
    if (back.kind === 'none') return t.fail(back.reason);
    for (const [route, startMs] of [
      [out, NOW_MS],
      [back, answer.nowMs],
    ] as const) {
      let atMs = startMs;
      let slackMs = Infinity;
      let sameKeysMs = Infinity;
      for (const [i, { endpoint }] of route.hops.entries()) {
        t.is(endpoint.endpointId, keyAt(atMs));
        slackMs = Math.min(slackMs, endpoint.closesMs - atMs);
        // The next key opens a second before this one closes.
        sameKeysMs = Math.min(sameKeysMs, endpoint.closesMs - 1000 - atMs);
        if (i < route.delaysMs.length) atMs += route.delaysMs[i] as number;
      }
      t.is(route.arrivesMs, atMs);
      t.is(route.slackMs, slackMs);
      t.is(route.sameKeysMs, sameKeysMs);
    }
  }
  return t.pass();
});

test('a mix without a key for the time of its place does not stand there', (t) => {
  const [mix] = mixes as [DirectoryNode];
  const late = { ...mix, endpoints: mix.endpoints.map((key) => ({ ...key, opensMs: NOW_MS + 1 })) };
  const directory = madeDirectory([...ends, late, ...mixes.slice(1, 3)]);
  let drawn = 0;
  for (let seed = 0; seed < 100; seed++) {
    const hops = choose(directory, seed);
    if (typeof hops === 'string') continue;
    drawn++;
    t.not(hops[0]?.node.peerId, late.peerId);
  }
  t.true(drawn > 50);
});
