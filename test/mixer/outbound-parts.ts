/**
 * The sending half of a gateway over a real store, without its timers: fragments stored and queued for
 * one exit, packets made ready, and their emission. The clock is the test's.
 */
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { Emission } from '../../src/mixer/emission.ts';
import { FragmentQueues } from '../../src/mixer/fragment-queues.ts';
import { LoopWatch } from '../../src/mixer/loop-watch.ts';
import { Outbound } from '../../src/mixer/outbound.ts';
import { ReadyPackets } from '../../src/mixer/ready.ts';
import { encodeFragment, type Fragment } from '../../src/mixnet/fragment.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import type { MixView } from '../../src/mixnet/mix.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { openQueue } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode, peerIdOf } from '../mixnet/made-directory.ts';

export const params = { group: 'X25519', headerLen: 320, bodyLen: 4096 } as const;
export const sphinx = createSphinx(params, native);
export const geometry = geometryOf(sphinx);

/** Ourselves, and the exit that mail goes to. */
export const ME = peerIdOf(8);
let exits = 20;

/** A fragment of a mail of its own. */
export function fragmentOf(expiryMs: number): Fragment {
  const messageId = native.random(16);
  return { messageId, index: 0, total: 1, expiryMs, bytes: native.random(100) };
}

/** Parts for an exit that no other test has. */
export async function outboundParts(store: Store, over: { readonly now?: () => number } = {}) {
  const now = over.now ?? Date.now;
  const number = exits++;
  const exit = peerIdOf(number);
  const openFor = { opensMs: now() - 1000, closesMs: now() + 3 * 86_400_000 };
  const nodes = [
    ...[1, 2, 3].map((mix) => madeNode(mix)),
    ...[8, number].map((gateway) => madeNode(gateway, { roles: ['gateway'] })),
  ].map((node) => ({
    ...node,
    endpoints: node.endpoints.map((endpoint) => ({ ...endpoint, ...openFor })),
  }));
  const directory = madeDirectory(nodes, { params });
  const held: { view: MixView | null } = {
    view: { sphinx, geometry, directory, isMix: false, isExit: true },
  };
  const counters = new Counters();
  const storageKey = native.random(32);
  const records = new Records(store, { primitives: native, storageKeys: () => storageKey });
  const sent = new SentStore(store, { primitives: native, storageKey, records, now });
  const queues = new FragmentQueues(store);
  const mixing = await openQueue(store, 'mixing');
  const log = silentLog;
  const expired: string[] = [];
  /** One more on the same store, as after a restart; `changes`: parts that do something otherwise. */
  const createOutbound = (
    changes: Partial<ConstructorParameters<typeof Outbound>[0]> = {},
  ): Outbound =>
    new Outbound({
      queues,
      records,
      sent,
      primitives: native,
      onExpired: async (messageId) => await Promise.resolve(void expired.push(messageId)),
      counters,
      log,
      now,
      ...changes,
    });
  const outbound = createOutbound();
  const watch = new LoopWatch({ me: ME, now, counters, log, listens: () => true, write: nowhere });
  const { random } = native;
  const emission = new Emission({ random, now, sent, mixing, watch, counters });
  const view = (): MixView | null => held.view;
  return {
    exit,
    held,
    counters,
    records,
    sent,
    queues,
    mixing,
    outbound,
    createOutbound,
    watch,
    emission,
    expired,
    ready: () => new ReadyPackets({ random, now, me: ME, view, outbound }),
    traffic: directory.traffic,
    /** Stores a fragment and queues it, as the cutting of a mail does; its id. */
    queue: async (fragment: Fragment): Promise<string> => {
      const recordId = toHex(native.random(16));
      await records.put({
        recordId,
        endpointId: `outbound-${exit}`,
        next: new Uint8Array(16),
        dueMs: 0,
        packet: encodeFragment(fragment, geometry),
      });
      await (await queues.queue(exit, 'first')).add(recordId);
      return recordId;
    },
  };
}

async function nowhere(): Promise<void> {
  await Promise.resolve();
}
