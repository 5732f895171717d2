import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toBase64url, toUtf8 } from '../../../src/bytes.ts';
import { RouteClient } from '../../../src/client/batch-routes.ts';
import { native } from '../../../src/crypto/native.ts';
import { portable } from '../../../src/crypto/portable.ts';
import { PanoramixError } from '../../../src/errors.ts';
import { StopNode, type StopNodeOptions } from '../../../src/mixer/batch/stop-node.ts';
import { drawStops } from '../../../src/mixnet/batch-stops.ts';
import {
  endpointOf,
  openEndpoint,
  privateController,
  sharedStore,
} from '../../controller/private-controller.ts';
import { seededRandom } from '../../mixnet/seeded-random.ts';
import { LyingProxy } from './lying-proxy.ts';
import { D42_PARAMS, foundTogether, type Owner } from './owners.ts';

const store = sharedStore(test);
const params = { ...D42_PARAMS, GROUP: 'X25519' as const };

test('messages cross stops on routes that their senders draw, killed owners or not', async (t) => {
  const controller = await privateController(t, store());
  const stops = { name: 'stop', sizeMin: 1, sizeMax: 20, public: true };
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), { params, stops });
  const client = new RouteClient({ mixnetUrl: mixnet.mixnetUrl, primitives: portable });
  const found = await client.init();
  t.deepEqual(
    found.stops.map((stop) => stop.peerId),
    [...found.owners],
  );
  let nodes = owners.map((owner) => run(t, owner, mixnet.mixnetId, { lingerMs: 2_000 }));
  const server = await controller.peer('survey');
  const inbox = endpointOf(server.identity.peerId, 'survey_inbox', { senders: 'peers' });
  await openEndpoint(server, inbox);

  const came = new Map<string, string[]>();
  // Read from the first message on: what a stop gave goes when its next cycle opens.
  const readAll = async (): Promise<void> => {
    for (const endMs = Date.now() + 80_000; Date.now() < endMs; await sleep(50)) {
      for (const { cycleId, messages } of await client.read(await client.init())) {
        came.set(
          cycleId,
          messages.map(({ message }) => toUtf8(message)),
        );
      }
      if ([...came.values()].flat().length >= 6) break;
    }
  };
  const reading = readAll();

  const sent = Array.from({ length: 9 }, (_, index) => `message ${index}`);
  for (const [index, message] of sent.entries()) {
    const recipient = index < 3 ? { recipient: server.identity.peerId } : {};
    await patiently(async () => {
      await client.send(await client.init(), { message: fromUtf8(message), ...recipient });
    });
    // All owners are begun anew in the middle, as after a crash: what they knew is gone.
    if (index === 4) {
      await Promise.all(nodes.map((node) => node.stop()));
      nodes = owners.map((owner) => run(t, owner, mixnet.mixnetId, { lingerMs: 2_000 }));
    }
  }
  await reading;
  t.deepEqual([...came.values()].flat().toSorted(), sent.slice(3));
  const texts = sent.slice(0, 3).map((message) => toBase64url(fromUtf8(message)));
  for (const endMs = Date.now() + 20_000; Date.now() < endMs; await sleep(50)) {
    const read = await server.listMessages({ endpointId: 'survey_inbox', box: 'INBOX' });
    if (read.length < 3) continue;
    t.deepEqual(read.map(({ text }) => text).toSorted(), texts.toSorted());
    return;
  }
  t.fail('the survey server did not get its messages');
});

test('a stop that has had its cycles is succeeded by one with a new key, and nothing is lost', async (t) => {
  const controller = await privateController(t, store());
  const stops = { name: 'stop', sizeMin: 1, sizeMax: 20, public: true };
  const more = { params, stops, count: 1 };
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), more);
  const client = new RouteClient({ mixnetUrl: mixnet.mixnetUrl, primitives: native });
  const cyclesMax = { succeeded: 1, last: 2 };
  for (const owner of owners) run(t, owner, mixnet.mixnetId, { lingerMs: 300, cyclesMax });
  const came = new Set<string>();
  for (let cycle = 0; cycle < 3; cycle++) {
    await patiently(async () => {
      await client.send(await client.init(), { message: fromUtf8(`cycle ${cycle}`) });
    });
    for (const endMs = Date.now() + 20_000; came.size <= cycle && Date.now() < endMs;) {
      const results = await client.read(await client.init());
      for (const { messages } of results) {
        for (const { message } of messages) came.add(toUtf8(message));
      }
      await sleep(20);
    }
    await sleep(600);
  }
  t.deepEqual([...came].toSorted(), ['cycle 0', 'cycle 1', 'cycle 2']);
  const { stops: found } = await client.init();
  t.true(found.length >= 2);
  t.notDeepEqual(found[0]?.publicKey, found.at(-1)?.publicKey);
});

test('a stop of another mixnet, or with another key, is not taken for one', async (t) => {
  const controller = await privateController(t, store());
  const proxy = await LyingProxy.start(t, controller.url);
  const stops = { name: 'stop', sizeMin: 1, sizeMax: 20, public: true };
  const { mixnet } = await foundTogether(t, controller.url, store(), { params, stops });
  const client = new RouteClient({
    mixnetUrl: mixnet.mixnetUrl,
    primitives: native,
    address: proxy.url,
  });
  proxy.lie = (path, _query, answer) =>
    /\/endpoints\/./.test(path)
      ? (JSON.parse(
          JSON.stringify(answer).replace(/(\\"public\\":\\")[0-9a-f]{64}/, `$1${'ab'.repeat(32)}`),
        ) as unknown)
      : answer;
  const error = await t.throwsAsync(client.init(), { instanceOf: PanoramixError });
  t.is(error.code, 'controller-lies');
  // Without the stops of an owner nothing is sent: routes of fewer owners hide less.
  proxy.lie = null;
  const [owner] = (await client.init()).owners;
  proxy.lie = (path, query, answer) =>
    /\/endpoints\/?$/.test(path) && query.get('peer_id') === owner ? [] : answer;
  const found = await client.init();
  await t.throwsAsync(client.send(found, { message: fromUtf8('x') }), {
    message: /not every owner has a stop/,
  });
});

test('every owner comes equally often at each place of a route (chi-square)', (t) => {
  const random = seededRandom(3);
  const owners = Array.from({ length: 4 }, (_, index) => String(index));
  const stops = owners.map((peerId) => ({ peerId, endpointId: peerId, publicKey: random(32) }));
  const counts = new Map<string, number>();
  const routes = 24 * 200;
  for (let each = 0; each < routes; each++) {
    const route = drawStops(random, stops);
    t.is(new Set(route.map((stop) => stop.peerId)).size, 3);
    const name = route.map((stop) => stop.peerId).join('');
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  t.is(counts.size, 24);
  const squares = [...counts.values()].map((count) => (count - routes / 24) ** 2 / (routes / 24));
  // 23 degrees of freedom: 49.7 is exceeded once in a thousand seeds.
  t.true(squares.reduce((sum, square) => sum + square, 0) < 49.7);
});

function run(
  t: ExecutionContext,
  owner: Owner,
  mixnetId: string,
  more: Partial<StopNodeOptions>,
): StopNode {
  const node = new StopNode({ ...owner.options, mixnetId, pollMs: 50, ...more });
  node.start();
  t.teardown(() => node.stop());
  return node;
}

/** Between two cycles a stop takes nothing for a moment. */
async function patiently(action: () => Promise<void>): Promise<void> {
  for (const endMs = Date.now() + 20_000; ; await sleep(50)) {
    try {
      await action();
      return;
    } catch (error) {
      const isBusy = error instanceof PanoramixError && /^endpoint-(full|closed)$/.test(error.code);
      if (!isBusy || Date.now() > endMs) throw error;
    }
  }
}
