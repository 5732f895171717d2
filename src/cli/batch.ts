/**
 * `panoramix mix` on a batch mixnet: an owner who closes, mixes and publishes cycles with the others.
 */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { section } from '../config.ts';
import type { ControllerClient } from '../client/controller.ts';
import type { Identity } from '../crypto/keys.ts';
import { native } from '../crypto/native.ts';
import { readOrCreateSecret } from '../key-files.ts';
import type { Log } from '../log.ts';
import { BatchNode } from '../mixer/batch/batch-node.ts';
import { Forwards } from '../mixer/batch/forwards.ts';
import { ReplayClaims } from '../mixer/batch/replay-claims.ts';
import { StopNode } from '../mixer/batch/stop-node.ts';
import type { MixnetStateFile } from '../mixer/mixnet-state.ts';
import type { Store } from '../redis/embedded.ts';
import { createSealing } from '../redis/sealing.ts';

/** Starts an owner's loop. */
export function startBatch(
  config: Config,
  common: {
    readonly identity: Identity;
    readonly client: ControllerClient;
    readonly state: MixnetStateFile;
    readonly store: Store;
    readonly log: Log;
  },
): BatchNode | StopNode {
  const { identity, client, state, store, log } = common;
  const storageKey = readOrCreateSecret(join(config.data_dir, 'storage.key'), native.random);
  const sealing = createSealing(native, storageKey);
  const view = {
    client,
    identity,
    primitives: native,
    claims: new ReplayClaims(store, native),
    forwards: new Forwards({ store, sealing, client, primitives: native, log }),
    dataDir: config.data_dir,
    log,
    lingerMs: section(config, 'node').linger_ms,
  };
  const { batch, mixnet_id: mixnetId = '' } = state.read() ?? {};
  const node =
    batch?.step === 'stop'
      ? new StopNode({ ...view, mixnetId })
      : new BatchNode({ ...view, state });
  node.start();
  log.info({ event: 'batch-runs', peerId: identity.peerId.slice(0, 8) }, 'Batch mix runs');
  return node;
}
