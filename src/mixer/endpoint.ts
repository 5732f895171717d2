/**
 * A node's own mix position on its own controller: its keys in a file, and an OPEN continuous endpoint
 * that shows the public one. The file is written first and once; an endpoint whose keys are lost would
 * take packets that nobody can open. (Rotation opens the next one beside it.)
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { encodeEndpointParams } from '../api/endpoint-params.ts';
import { CONTINUOUS, SIZE_MAX, type EndpointCreate } from '../api/endpoint.ts';
import { endpointId as endpointIdField, peerId as peerIdField } from '../api/fields.ts';
import { fromHex, toHex } from '../bytes.ts';
import type { ControllerClient } from '../client/controller.ts';
import { createMixKey, mixKeyFromSecret, type Identity, type MixKey } from '../crypto/keys.ts';
import type { GroupName, Primitives } from '../crypto/primitives.ts';
import { createDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import { readPrivate } from '../key-files.ts';

const STORAGE_KEY_BYTES = 32;
const FOLDER = 'endpoints';

const keyFile = z.strictObject({
  version: z.literal(1),
  endpoint_id: endpointIdField,
  peer_id: peerIdField,
  /** Of the controller that serves the endpoint. */
  catalog_url: z.string(),
  group: z.enum(['X25519', 'P-224']),
  mix_secret: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{56})$/),
  /** Seals what the node writes about packets (design §6). */
  storage_key: z.string().regex(/^[0-9a-f]{64}$/),
  opens: z.iso.datetime(),
  closes: z.iso.datetime(),
});
type KeyFile = z.output<typeof keyFile>;

/** A mix position that is open, with all its keys. */
export interface OwnEndpoint {
  readonly endpointId: string;
  readonly mixKey: MixKey;
  /** 32 bytes; seals records at rest. */
  readonly storageKey: Uint8Array;
  readonly opensMs: number;
  readonly closesMs: number;
}

export interface EndpointOptions {
  /** The node's own controller, with the node's key. */
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly dataDir: string;
  readonly peerName: string;
  readonly group: GroupName;
  /** How long a new endpoint stays open; at least as long as any snapshot that will name it. */
  readonly lifetimeMs: number;
  /** Unread messages that the controller keeps. */
  readonly sizeMax?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
}

/**
 * Makes sure that this peer is registered on its controller and has an open endpoint there; one that is
 * open already, and whose keys are on disk, is used again.
 * @throws PanoramixError `config-invalid` where a key file may be read by others or is damaged
 */
export async function ensureEndpoint(options: EndpointOptions): Promise<OwnEndpoint> {
  const nowMs = (options.now ?? Date.now)();
  await options.client.registerPeer(options.peerName);
  const usable = readKeyFiles(options)
    .filter((file) => file.group === options.group && Date.parse(file.closes) > nowMs)
    .toSorted((left, right) => Date.parse(right.closes) - Date.parse(left.closes));
  for (const file of usable) {
    if (await isOpen(options, file)) return ownEndpoint(options.primitives, file);
  }
  const file = createKeyFile(options, nowMs);
  await open(options, file);
  return ownEndpoint(options.primitives, file);
}

/** Whether the controller has this endpoint open; one that it never got, after a crash, is opened now. */
async function isOpen(options: EndpointOptions, file: KeyFile): Promise<boolean> {
  const endpoint = await options.client.getEndpoint(file.endpoint_id);
  if (!endpoint) {
    await open(options, file);
    return true;
  }
  const isOwn =
    endpoint.peer_id === file.peer_id &&
    endpoint.endpoint_params === endpointParams(options.primitives, file);
  return isOwn && (endpoint.status === 'OPEN' || endpoint.status === 'FULL');
}

async function open(options: EndpointOptions, file: KeyFile): Promise<void> {
  const data: EndpointCreate = {
    peer_id: file.peer_id,
    endpoint_id: file.endpoint_id,
    endpoint_type: CONTINUOUS,
    endpoint_params: endpointParams(options.primitives, file),
    description: '',
    status: 'OPEN',
    size_min: 0,
    size_max: options.sizeMax ?? SIZE_MAX,
    public: false,
    senders: 'nodes',
  };
  const consensusId = await options.client.decideAlone({
    data,
    info: { resource: 'endpoint', operation: 'create' },
  });
  await options.client.createEndpoint(data, consensusId);
}

function createKeyFile(options: EndpointOptions, nowMs: number): KeyFile {
  const { primitives, identity, client } = options;
  const mixKey = createMixKey(primitives, primitives.group(options.group));
  const file: KeyFile = {
    version: 1,
    // Random: it says nothing, and collides with no other peer's on a shared controller.
    endpoint_id: `mix_${toHex(primitives.random(8))}`,
    peer_id: identity.peerId,
    catalog_url: client.url,
    group: options.group,
    mix_secret: toHex(mixKey.secret),
    storage_key: toHex(primitives.random(STORAGE_KEY_BYTES)),
    opens: new Date(nowMs).toISOString(),
    closes: new Date(nowMs + options.lifetimeMs).toISOString(),
  };
  const path = join(options.dataDir, FOLDER, `${file.endpoint_id}.json`);
  if (!createDurably(path, `${JSON.stringify(file, null, 2)}\n`)) {
    throw new PanoramixError('unexpected', `${path} exists already`);
  }
  return file;
}

/** Key files of this peer on this controller; those of another stay where they are. */
function readKeyFiles(options: EndpointOptions): KeyFile[] {
  const folder = join(options.dataDir, FOLDER);
  return list(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => readKeyFile(join(folder, name)))
    .filter(
      (file) => file.peer_id === options.identity.peerId && file.catalog_url === options.client.url,
    );
}

function readKeyFile(path: string): KeyFile {
  const parsed = keyFile.safeParse(parseOrNull(readPrivate(path)));
  if (parsed.success) return parsed.data;
  throw new PanoramixError('config-invalid', `${path} is no key file of this version`);
}

function ownEndpoint(primitives: Primitives, file: KeyFile): OwnEndpoint {
  return Object.defineProperties(
    {
      endpointId: file.endpoint_id,
      opensMs: Date.parse(file.opens),
      closesMs: Date.parse(file.closes),
    },
    {
      // Not enumerable: no log line and no copy by spread carries them.
      mixKey: { value: mixKeyOf(primitives, file) },
      storageKey: { value: fromHex(file.storage_key) },
    },
  ) as OwnEndpoint;
}

function mixKeyOf(primitives: Primitives, file: KeyFile): MixKey {
  return mixKeyFromSecret(primitives.group(file.group), fromHex(file.mix_secret) as Uint8Array);
}

function endpointParams(primitives: Primitives, file: KeyFile): string {
  const { publicKey } = mixKeyOf(primitives, file);
  return encodeEndpointParams({ group: file.group, publicKey, strategy: 'continuous' });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
