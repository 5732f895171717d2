import test from 'ava';
import { EndpointFiles } from '../../src/mixer/endpoint-files.ts';
import { Keys } from '../../src/mixer/keys.ts';
import { keyInUse } from '../../src/mixnet/key-epochs.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Journal } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { temporaryDataDir } from '../redis/private-redis.ts';
import { KeyedNode } from './own-keys.ts';

const store = sharedStore(test);

/** What a kill -9 does to the program, as far as it can still notice: nothing more happens in it. */
class Killed extends Error {}

/** Counts the steps that go out of a program, to disk, store or controller, and ends it at one of them. */
class Steps {
  count = 0;
  readonly killAt: number;
  readonly moment: 'before' | 'after';

  constructor(killAt: number, moment: 'before' | 'after') {
    this.killAt = killAt;
    this.moment = moment;
  }

  /** The same object; each call of the named methods is a step. */
  watch<T extends object>(target: T, methods: readonly string[]): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        const call = (...args: unknown[]): unknown => value.apply(object, args) as unknown;
        return methods.includes(String(name))
          ? (...args: unknown[]) => this.#step(call, args)
          : call;
      },
    });
  }

  get isOver(): boolean {
    return this.killAt > 0 && this.count >= this.killAt;
  }

  #step(call: (...args: unknown[]) => unknown, args: unknown[]): unknown {
    // The dead do nothing more, whatever the test lets their promises do.
    if (this.isOver) throw new Killed();
    this.count++;
    if (this.isOver && this.moment === 'before') throw new Killed();
    const result = call(...args);
    if (!this.isOver) return result;
    if (!(result instanceof Promise)) throw new Killed();
    return result.then(() => {
      throw new Killed();
    });
  }
}

function program(node: KeyedNode, steps: Steps): Keys {
  const files = new EndpointFiles(node.dataDir, native);
  const records = new Records(node.store, {
    primitives: native,
    storageKeys: (endpointId) => files.get(endpointId)?.endpoint?.storageKey ?? null,
  });
  return new Keys({
    client: steps.watch(node.client, [
      'registerPeer',
      'decideAlone',
      'createEndpoint',
      'updateEndpoint',
      'getEndpoint',
      'listMessages',
      'releaseMessages',
    ]),
    files: steps.watch(files, ['create', 'change', 'end', 'forget']),
    journal: steps.watch(new Journal(node.store, { records }), ['destroy']),
    records,
    identity: node.identity,
    primitives: native,
    store: node.store,
    log: silentLog,
    peerName: 'node',
    group: 'X25519',
    terms: () => node.terms,
    now: () => node.nowMs,
  });
}

for (const moment of ['before', 'after'] as const) {
  test(`killed ${moment} any step of a rotation, a node ends where one does that was never killed`, async (t) => {
    const controller = await privateController(t, store());
    let steps = 0;
    for (let killAt = 1; killAt === 1 || killAt <= steps; killAt++) {
      const node = new KeyedNode(controller, store(), await temporaryDataDir(t));
      const first = node.keys();
      await first.open();
      const [old] = node.secrets() as [string];
      // The old key closes and shuts, and the next ones open.
      node.pass(28);
      const killed = new Steps(killAt, moment);
      await program(node, killed).turn();
      // How many steps there are shows in the run in which the kill comes last.
      if (killed.isOver) steps = Math.max(steps, killAt + 1);

      const again = node.keys();
      await again.open();
      await again.turn();
      t.false(node.secrets().includes(old), `${killAt}`);
      const statuses = await node.statuses();
      const endpoints = again.endpoints();
      t.truthy(keyInUse(endpoints, node.nowMs));
      t.is(statuses[old], 'PROCESSED');
      t.is(endpoints.length, 1, 'no key twice');
      const open = Object.keys(statuses).filter((id) => statuses[id] !== 'PROCESSED');
      t.deepEqual(
        open.toSorted(),
        endpoints.map(({ endpointId }) => endpointId),
      );
      t.is(node.files().length, 2 * endpoints.length);
    }
    t.log(`${steps - 1} steps`);
    t.true(steps > 15);
  });
}
