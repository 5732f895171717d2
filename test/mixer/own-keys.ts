/** A node's mix keys for tests: real files, a real store, and a real controller to open endpoints at. */
import type { ControllerClient } from '../../src/client/controller.ts';
import type { Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { createKeys, type Keys } from '../../src/mixer/keys.ts';
import type { KeyTerms } from '../../src/mixnet/key-epochs.ts';
import type { Store } from '../../src/redis/embedded.ts';

/** A day, and three epochs of an hour. */
export const TERMS: KeyTerms = { keyLifetimeMs: 86_400_000, snapshotLifetimeMs: 3 * 3_600_000 };

/** Keys of a node, the first of them open at its controller. */
export async function openKeys(
  own: {
    readonly client: ControllerClient;
    readonly identity: Identity;
    readonly store: Store;
    readonly dataDir: string;
  },
  terms = TERMS,
): Promise<Keys> {
  const keys = createKeys({
    ...own,
    primitives: native,
    log: silentLog,
    peerName: 'node',
    group: 'X25519',
    terms: () => terms,
  });
  await keys.open();
  return keys;
}
