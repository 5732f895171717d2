/**
 * Owners of a batch mixnet on one controller, each with its own key, data directory and replay tags: set up
 * by the wizards, run by `BatchNode`, all in one process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { ControllerClient } from '../../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import type { Log } from '../../../src/log.ts';
import { BatchNode, type BatchNodeOptions } from '../../../src/mixer/batch/batch-node.ts';
import type { GatewayTerms } from '../../../src/mixer/batch/creation.ts';
import { Forwards } from '../../../src/mixer/batch/forwards.ts';
import { ReplayClaims } from '../../../src/mixer/batch/replay-claims.ts';
import { MixnetStateFile } from '../../../src/mixer/mixnet-state.ts';
import type { StopTerms } from '../../../src/mixnet/batch-stops.ts';
import type { PacketParams } from '../../../src/mixnet/directory-texts.ts';
import type { Store } from '../../../src/redis/embedded.ts';
import { createSealing } from '../../../src/redis/sealing.ts';
import { foundBatch, joinAny, type BatchMixnetFound } from '../../../src/wizard/batch.ts';
import type { WizardEvent } from '../../../src/wizard/options.ts';

/** A line of an owner's log. */
export type LogLine = Record<string, unknown>;

/** One owner. */
export interface Owner {
  readonly identity: Identity;
  readonly client: ControllerClient;
  readonly dataDir: string;
  readonly state: MixnetStateFile;
  readonly lines: LogLine[];
  readonly options: BatchNodeOptions;
  readonly node: () => BatchNode;
}

export interface Owners {
  readonly owners: readonly Owner[];
  readonly mixnet: BatchMixnetFound;
}

/** D4.2's parameters (§5.1). */
export const D42_PARAMS: PacketParams = { GROUP: 'P-224', HEADER_LEN: 192, BODY_LEN: 1024 };

const GATEWAY: GatewayTerms = {
  endpointId: 'gateway_1',
  description: 'the mix-net gateway',
  sizeMin: 5,
  sizeMax: 10,
  waitMs: null,
  public: true,
};

let mixnets = 0;

/** Founds a batch mixnet; the first owner coordinates. */
export async function foundTogether(
  t: ExecutionContext,
  url: string,
  store: Store,
  more: {
    readonly count?: number;
    readonly params?: PacketParams;
    readonly gateway?: Partial<GatewayTerms>;
    /** Instead of a gateway. */
    readonly stops?: StopTerms;
    readonly node?: Partial<BatchNodeOptions>;
    /** What an owner reaches the controller through, by its place. */
    readonly addressOf?: (place: number) => string | undefined;
  } = {},
): Promise<Owners> {
  const name = `mixnet${++mixnets}`;
  const owners = Array.from({ length: more.count ?? 3 }, (_, place) =>
    createOwner(t, url, store, `${name}:${place}`, more.node ?? {}, more.addressOf?.(place)),
  );
  const [coordinator, ...others] = owners as [Owner, ...Owner[]];
  const told = Promise.withResolvers<readonly string[]>();
  const progress = (event: WizardEvent): void => {
    if (event.event === 'invitations') told.resolve(event.invitations);
  };
  const founding = foundBatch({
    ...wizardOf(coordinator),
    progress,
    mixnetName: 'our_mix-net',
    params: more.params ?? D42_PARAMS,
    invitations: others.length,
    ...(more.stops ? { stops: more.stops } : { gateway: { ...GATEWAY, ...more.gateway } }),
  });
  const invitations = await Promise.race([told.promise, founding.then(() => [])]);
  const joining = others.map((owner, index) =>
    joinAny({ ...wizardOf(owner), invitation: invitations[index] as string }),
  );
  const [mixnet] = await Promise.all([founding, ...joining]);
  return { owners, mixnet };
}

/** Starts an owner's loop, which ends with the test. */
export function run(t: ExecutionContext, owner: Owner): BatchNode {
  const node = owner.node();
  node.start();
  t.teardown(() => node.stop());
  return node;
}

/** Reasons that an owner has logged. */
export function reasonsOf(owner: Owner): string[] {
  return owner.lines.flatMap((line) =>
    [line['reason'], line['detail']].filter((each) => typeof each === 'string'),
  );
}

function wizardOf(owner: Owner) {
  return {
    client: owner.client,
    identity: owner.identity,
    primitives: native,
    statePath: owner.state.path,
    peerName: 'owner',
    pollMs: 20,
    dataDir: owner.dataDir,
    log: owner.options.log,
  };
}

function createOwner(
  t: ExecutionContext,
  url: string,
  store: Store,
  name: string,
  more: Partial<BatchNodeOptions>,
  address: string | undefined,
): Owner {
  const identity = createIdentity(native);
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const client = new ControllerClient({
    url,
    identity,
    primitives: native,
    ...(address !== undefined && { address }),
  });
  const state = new MixnetStateFile(join(dataDir, 'mixnet.json'));
  const lines: LogLine[] = [];
  const note = (fields: object): void => void lines.push({ ...fields });
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const own = { redis: store.redis, prefix: `${store.prefix}:${name}` as typeof store.prefix };
  const sealing = createSealing(native, native.random(32));
  const options: BatchNodeOptions = {
    client,
    identity,
    primitives: native,
    claims: new ReplayClaims(own, native),
    forwards: new Forwards({ store: own, sealing, client, primitives: native, log }),
    dataDir,
    log,
    state,
    lingerMs: 0,
    pollMs: 20,
    watchMs: 200,
    ...more,
  };
  return {
    identity,
    client,
    dataDir,
    state,
    lines,
    options,
    node: () => new BatchNode(options),
  };
}
