/** A node's mix keys for tests: real files, a real store, and a real controller to open endpoints at. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EndpointStatus } from '../../src/api/endpoint.ts';
import type { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { createKeys, type Keys, type KeysOptions } from '../../src/mixer/keys.ts';
import type { KeyTerms } from '../../src/mixnet/key-epochs.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { privateController, type PrivateController } from '../controller/private-controller.ts';
import { temporaryDataDir, temporaryStore } from '../redis/private-redis.ts';

/** A day, and three epochs of an hour. */
export const TERMS: KeyTerms = { keyLifetimeMs: 86_400_000, snapshotLifetimeMs: 3 * 3_600_000 };

interface Own {
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly store: Store;
  readonly dataDir: string;
}

type More = Partial<Pick<KeysOptions, 'terms' | 'now' | 'isTimeKnown' | 'log' | 'client'>> & {
  readonly tagsMax?: number;
};

/** Keys of a node as its program has them after a start, nothing done yet. */
export function keysOf(own: Own, more: More = {}): Keys {
  return createKeys({
    primitives: native,
    log: silentLog,
    peerName: 'node',
    group: 'X25519',
    terms: () => TERMS,
    ...own,
    ...more,
  });
}

/** Keys of a node, the first of them open at its controller. */
export async function openKeys(own: Own, more: More = {}): Promise<Keys> {
  const keys = keysOf(own, more);
  await keys.open();
  return keys;
}

/** A node that has keys and nothing else, and a clock that a test moves. */
export class KeyedNode implements Own {
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly store: Store;
  readonly dataDir: string;
  readonly controller: PrivateController;
  terms = TERMS;
  nowMs = Date.UTC(2026, 0, 1);

  constructor(controller: PrivateController, store: Store, dataDir: string) {
    this.controller = controller;
    this.identity = createIdentity(native);
    this.client = controller.client(this.identity);
    this.store = store;
    this.dataDir = dataDir;
  }

  static async create(t: ExecutionContext): Promise<KeyedNode> {
    const dataDir = await temporaryDataDir(t);
    const store = await temporaryStore(t, { dataDir });
    return new KeyedNode(await privateController(t, store), store, dataDir);
  }

  /** As after a start of its program. */
  keys(more: More = {}): Keys {
    return keysOf(this, { now: () => this.nowMs, terms: () => this.terms, ...more });
  }

  /** Hours of the node's clock. */
  pass(hours: number): void {
    this.nowMs += hours * 3_600_000;
  }

  /** What its key folder holds. */
  files(): readonly string[] {
    return readdirSync(join(this.dataDir, 'endpoints')).toSorted();
  }

  /** Ids of the endpoints whose secrets are on disk. */
  secrets(): readonly string[] {
    const ending = '.secret.json';
    return this.files()
      .filter((name) => name.endsWith(ending))
      .map((name) => name.slice(0, -ending.length));
  }

  /** Where its endpoints stand at the controller, by id. */
  async statuses(): Promise<Readonly<Record<string, EndpointStatus>>> {
    const served = await this.client.listEndpoints({ peer_id: this.identity.peerId });
    return Object.fromEntries(served.map((one) => [one.endpoint_id, one.status]));
  }
}
