/**
 * A small mixnet for tests of the mix server: every node with its own redis-server, its own
 * controller and real HTTP between them, in one process. The directory is given, not agreed on; how
 * it is agreed on and verified is tested with its own files.
 */
import type { ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, nodeAddress, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import type { Log } from '../../src/log.ts';
import type { ArrivedMail, DeliveryResult, MixedMail } from '../../src/mail/envelope.ts';
import type { DirectorySource } from '../../src/mixer/directory-source.ts';
import type { OwnEndpoint } from '../../src/mixer/endpoint-files.ts';
import type { Keys } from '../../src/mixer/keys.ts';
import { MixNode, type MixNodeOptions } from '../../src/mixer/node.ts';
import type { ReportingSettings } from '../../src/mixer/reporting.ts';
import type { Directory, DirectoryNode } from '../../src/mixnet/directory.ts';
import type { KeyTerms } from '../../src/mixnet/key-epochs.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { privateController, type PrivateController } from '../controller/private-controller.ts';
import { madeDirectory } from '../mixnet/made-directory.ts';
import { temporaryDataDir, temporaryStore } from '../redis/private-redis.ts';
import { openKeys, TERMS } from './own-keys.ts';

/** One node and all that is its own. */
export interface SmallNode {
  readonly identity: Identity;
  readonly store: Store;
  readonly controller: PrivateController;
  /** The one that is open at the start. */
  readonly endpoint: OwnEndpoint;
  readonly dataDir: string;
  /** Its own, for what outlives endpoints. */
  readonly storageKey: Uint8Array;
  /** Its keys as its program holds them, anew at each start. */
  keys: Keys;
  readonly entry: DirectoryNode;
  /** Mails that it has handed to its mail server. */
  readonly arrived: ArrivedMail[];
  /** Every line that its mixer has logged, of all levels. */
  readonly said: object[];
  /** What its mail server answers; by default it takes all. */
  answer: (mail: ArrivedMail) => DeliveryResult;
  mixer: MixNode;
}

export interface SmallMixnet {
  readonly mixes: readonly SmallNode[];
  readonly gateways: readonly SmallNode[];
  directory: Directory;
  /** Whether `directory` counts as expired. */
  isExpired: boolean;
  /** How each of its gateways tells senders. */
  reporting(gateway: number): ReportingSettings;
  /** What the nodes would agree on next: the directory with their keys of this moment. */
  snapshot(): void;
  /** Starts a node again, as after a stop of its program. */
  restart(node: SmallNode): Promise<void>;
  /** A mail from one gateway's domain to another's. */
  mail(from: SmallNode, to: SmallNode, data: Uint8Array, over?: Partial<MixedMail>): MixedMail;
}

const TRAFFIC = { delayMeanMs: 100, ticksPerSecond: 20, loopsPerSecond: 0.5, expiryMs: 3_600_000 };

/** Starts mixes and gateways; they stop with the test. */
export async function smallMixnet(
  t: ExecutionContext,
  sizes: {
    readonly mixes: number;
    readonly gateways: number;
    readonly bodyLen?: number;
    readonly traffic?: Partial<Directory['traffic']>;
    readonly terms?: KeyTerms;
    readonly reporting?: (gateway: number) => ReportingSettings;
  },
): Promise<SmallMixnet> {
  const params = { group: 'X25519', headerLen: 320, bodyLen: sizes.bodyLen ?? 4096 } as const;
  const nodes: SmallNode[] = [];
  for (let i = 0; i < sizes.mixes + sizes.gateways; i++) {
    nodes.push(await createNode(t, i, i < sizes.mixes ? 'mix' : 'gateway', sizes.terms));
  }
  for (const { controller } of nodes) {
    for (const { identity } of nodes) controller.nodes.add(identity.peerId);
  }
  const entries = nodes.map(({ entry }) => entry);
  const mixnet: SmallMixnet = {
    mixes: nodes.slice(0, sizes.mixes),
    gateways: nodes.slice(sizes.mixes),
    directory: {
      ...madeDirectory(entries, { params }),
      ...(sizes.terms ?? TERMS),
      traffic: { ...TRAFFIC, mixesPerRoute: Math.min(3, sizes.mixes), ...sizes.traffic },
      validUntilMs: Date.now() + 3_600_000,
    },
    isExpired: false,
    reporting: sizes.reporting ?? (() => ({})),
    snapshot: () => {
      mixnet.directory = {
        ...mixnet.directory,
        number: mixnet.directory.number + 1,
        snapshotHash: toHex(native.random(32)),
        nodes: mixnet.directory.nodes.map((entry) => {
          const { keys } = nodes.find(
            ({ identity }) => identity.peerId === entry.peerId,
          ) as SmallNode;
          return { ...entry, endpoints: endpointsOf(entry.peerId, keys) };
        }),
      };
    },
    restart: async (node) => {
      await node.mixer.stop();
      const { store, dataDir, identity, controller } = node;
      const own = { client: controller.client(identity), identity, store, dataDir };
      node.keys = await openKeys(own, { terms: () => sizes.terms ?? TERMS });
      node.mixer = createMixer(node, mixnet);
      await node.mixer.start();
    },
    mail: mailBetween,
  };
  for (const node of nodes) {
    node.mixer = createMixer(node, mixnet);
    await node.mixer.start();
  }
  t.teardown(async () => await Promise.all(nodes.map(async ({ mixer }) => await mixer.stop())));
  return mixnet;
}

async function createNode(
  t: ExecutionContext,
  number: number,
  role: 'mix' | 'gateway',
  terms = TERMS,
): Promise<SmallNode> {
  const identity = createIdentity(native);
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const controller = await privateController(t, store);
  const own = { client: controller.client(identity), identity, store, dataDir };
  const keys = await openKeys(own, { terms: () => terms });
  const [endpoint] = keys.endpoints() as [OwnEndpoint];
  const entry: DirectoryNode = {
    peerId: identity.peerId,
    owner: identity.peerId,
    roles: [role],
    domains: role === 'gateway' ? [`provider${number}.example`] : [],
    weight: 1,
    paused: false,
    controllerUrl: controller.url,
    endpoints: endpointsOf(identity.peerId, keys),
  };
  const storageKey = native.random(32);
  const parts = { identity, store, dataDir, storageKey, controller, endpoint, keys, entry };
  return Object.assign(
    { ...parts, arrived: [], said: [] },
    {
      answer: (mail: ArrivedMail) => ({
        accepted: mail.recipients.map(({ address }) => address),
        refused: [],
      }),
      mixer: undefined as unknown as MixNode,
    },
  );
}

function endpointsOf(peerId: string, keys: Keys): DirectoryNode['endpoints'] {
  return keys.endpoints().map(({ endpointId, mixKey, opensMs, closesMs }) => {
    const { publicKey } = mixKey;
    const address = nodeAddress(native, peerId, publicKey);
    return { endpointId, publicKey, address, opensMs, closesMs };
  });
}

function createMixer(node: SmallNode, mixnet: SmallMixnet): MixNode {
  const { identity, store, controller, storageKey, keys, entry } = node;
  const source: DirectorySource = {
    current: () =>
      mixnet.isExpired
        ? { ok: false, reason: 'directory-expired' }
        : { ok: true, directory: mixnet.directory },
    last: () => mixnet.directory,
    refresh: async () => await Promise.resolve(),
  };
  const clients = new Map<string, ControllerClient>();
  const clientFor = (url: string): ControllerClient => {
    const client = clients.get(url) ?? new ControllerClient({ url, identity, primitives: native });
    clients.set(url, client);
    return client;
  };
  const options: MixNodeOptions = {
    identity,
    primitives: native,
    store,
    log: logTo(node.said),
    directory: source,
    keys,
    storageKey,
    ownController: clientFor(controller.url),
    clientFor,
  };
  if (!entry.roles.includes('gateway')) return new MixNode(options);
  const deliver = async (mail: ArrivedMail): Promise<DeliveryResult> => {
    node.arrived.push(mail);
    return await Promise.resolve(node.answer(mail));
  };
  return new MixNode({
    ...options,
    gateway: {
      deliver,
      exitDelayMeanMs: 100,
      reporting: mixnet.reporting(mixnet.gateways.indexOf(node)),
    },
  });
}

function logTo(said: object[]): Log {
  const say = (fields: object, text: string): void => void said.push({ ...fields, text });
  return { debug: say, info: say, warn: say, error: say };
}

function mailBetween(
  from: SmallNode,
  to: SmallNode,
  data: Uint8Array,
  over: Partial<MixedMail> = {},
): MixedMail {
  return {
    messageId: toHex(native.random(16)),
    exit: to.identity.peerId,
    from: `alice@${from.entry.domains[0]}`,
    recipients: [{ address: `bob@${to.entry.domains[0]}`, notify: 'NEVER' }],
    body: '8BITMIME',
    smtputf8: false,
    data,
    sha256: toHex(native.sha256(data)),
    ...over,
  };
}
