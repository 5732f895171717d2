import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { toHex } from '../../src/bytes.ts';
import type { OwnEndpoint } from '../../src/mixer/endpoint-files.ts';
import { readKeyReport } from '../../src/redis/key-report.ts';
import { until } from '../redis/private-redis.ts';
import { findBytes, type Needle } from '../redis/search-bytes.ts';
import { smallMixnet, type SmallNode } from './small-mixnet.ts';

/** Keys follow each other every 12 s; on a busy machine packets are late by seconds, and 6 are allowed for. */
const TERMS = { keyLifetimeMs: 16_000, snapshotLifetimeMs: 9_000 };
const EPOCH_MS = TERMS.snapshotLifetimeMs / 3;
/** What a node counts where a packet met no key, or a node met none for its own. */
const KEYLESS = ['endpoint-closed', 'endpoint-unknown', 'unknown-next-hop', 'mac-mismatch'];

function secretsOf(endpoint: OwnEndpoint): readonly Needle[] {
  // Copies: the node overwrites its own.
  return [
    { name: `${endpoint.endpointId} mix secret`, bytes: Uint8Array.from(endpoint.mixKey.secret) },
    { name: `${endpoint.endpointId} storage key`, bytes: Uint8Array.from(endpoint.storageKey) },
  ];
}

/** Which needles lie in any file of a data folder, in whatever spelling. */
function foundIn(dataDir: string, needles: readonly Needle[]): readonly string[] {
  const names = readdirSync(dataDir, { recursive: true, withFileTypes: true });
  const sources = names
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => ({ name, bytes: readFileSync(join(parentPath, name)) }));
  return [...new Set(findBytes(needles, sources).map(({ needle }) => needle))].toSorted();
}

test('mail flows while every node changes its keys: all arrives, no packet meets a missing key, and secrets go', async (t) => {
  // Few enough ticks that nothing is late where other tests run beside this one.
  const traffic = { ticksPerSecond: 4 };
  const mixnet = await smallMixnet(t, { mixes: 3, gateways: 2, terms: TERMS, traffic });
  const nodes = [...mixnet.mixes, ...mixnet.gateways];
  const [alice, bob] = mixnet.gateways as [SmallNode, SmallNode];
  const needles = new Map(nodes.map((node) => [node, new Map<string, readonly Needle[]>()]));
  const needlesOf = (node: SmallNode) => needles.get(node) as Map<string, readonly Needle[]>;
  const agree = (): void => {
    mixnet.snapshot();
    for (const node of nodes) {
      for (const endpoint of node.keys.endpoints()) {
        const { endpointId } = endpoint;
        if (!needlesOf(node).has(endpointId)) needlesOf(node).set(endpointId, secretsOf(endpoint));
      }
    }
  };
  const gone = (node: SmallNode): readonly string[] => {
    const present = new Set(node.keys.endpoints().map(({ endpointId }) => endpointId));
    return [...needlesOf(node).keys()].filter((id) => !present.has(id));
  };
  agree();
  const first = [...needlesOf(alice).values()][0] ?? [];
  t.is(foundIn(alice.dataDir, first).length, 2, 'the search finds a key that is there');
  const snapshots = setInterval(agree, EPOCH_MS);
  t.teardown(() => clearInterval(snapshots));

  let sent = 0;
  const startMs = Date.now();
  while (!nodes.every((node) => gone(node).length >= 2)) {
    if (Date.now() - startMs > 90_000) return t.fail('keys do not end');
    const mail = mixnet.mail(alice, bob, native.random(500));
    t.is(await alice.mixer.accept(mail), 'stored');
    sent++;
    await sleep(EPOCH_MS / 4);
  }
  await until(() => bob.arrived.length >= sent, 60_000).catch(() => undefined);
  t.is(new Set(bob.arrived.map(({ sha256 }) => sha256)).size, sent);
  t.is(bob.arrived.length, sent);
  for (const node of nodes) {
    const past = gone(node).flatMap((id) => needlesOf(node).get(id) ?? []);
    t.deepEqual(foundIn(node.dataDir, past), []);
    for (const id of gone(node)) t.is(node.keys.storageKey(id), null);
    const counts = node.mixer.counters.all();
    for (const reason of KEYLESS) t.is(counts[reason] ?? 0, 0, JSON.stringify(counts));
    const report = await readKeyReport(node.store);
    t.true(report?.some(({ state, tags }) => state === 'in-use' && tags > 0));
  }
  return t.true(toHex(bob.endpoint.mixKey.secret).startsWith('00000000'), 'in memory, too');
});
