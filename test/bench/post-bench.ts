/**
 * What it takes a node to post one packet, signing included: by node:http, as programs do, and by fetch, in
 * turns in one run, to a real controller: `node test/bench/post-bench.ts [--rounds N] [--posts N]`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { toBase64url, toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { createNodeHttp } from '../../src/mixer/node-http.ts';
import { median } from '../soak/trend.ts';
import { ENDPOINT, openBenchEndpoint } from './bench-endpoint.ts';
import type { Served } from './controller-process.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    posts: { type: 'string', default: '150' },
  },
});
const PACKET_BYTES = 33_104;

const identity = createIdentity(native);
const { peerId } = identity;
const child = fork(new URL('controller-process.ts', import.meta.url), [peerId], {
  stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
});
try {
  const [{ url }] = (await once(child, 'message')) as [Served];
  const common = { url, identity, primitives: native };
  const clients = {
    fetch: new ControllerClient(common),
    'node:http': new ControllerClient({ ...common, travel: createNodeHttp() }),
  };
  await openBenchEndpoint(clients.fetch, peerId);
  const tookUs = new Map<string, number[]>(Object.keys(clients).map((way) => [way, []]));
  // The first round warms up and does not count.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const [way, client] of Object.entries(clients)) {
      const us = await costOf(client, Number(values.posts));
      if (round > 0) tookUs.get(way)?.push(us);
    }
  }
  for (const [way, list] of tookUs) {
    const [low, high] = [Math.min(...list), Math.max(...list)].map(Math.round);
    process.stdout.write(
      `${way.padEnd(10)} ${Math.round(median(list))} µs a post (${low} to ${high})\n`,
    );
  }
  const [fetched = [], sent = []] = [...tookUs.values()];
  const ratios = sent.map((us, round) => us / (fetched[round] ?? us));
  process.stdout.write(`ratio      ${median(ratios).toFixed(2)}\n`);
} finally {
  child.disconnect();
  await once(child, 'exit');
}

/** Processor time of this process for each post, µs. */
async function costOf(client: ControllerClient, posts: number): Promise<number> {
  const packets = Array.from({ length: posts }, () => native.random(PACKET_BYTES));
  const before = process.cpuUsage();
  for (const packet of packets) {
    await client.postMessage({
      endpointId: ENDPOINT,
      recipient: peerId,
      text: toBase64url(packet),
      serial: toHex(native.random(16)),
    });
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / posts;
}
