/**
 * A node's own mix positions on disk, each in two files: `ID.life.json` says whose it is and how long its key
 * lives, `ID.secret.json` holds the mix secret and the storage key, is written once and overwritten when
 * the key ends. The order of all steps is such that after a kill -9 at any of them the next start does
 * what was left: a life marked as ended has no use for its secret, a secret without a life was never shown.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { endpointId as endpointIdField, peerId as peerIdField } from '../api/fields.ts';
import { fromHex, toHex } from '../bytes.ts';
import { createMixKey, mixKeyFromSecret, type MixKey } from '../crypto/keys.ts';
import type { GroupName, Primitives } from '../crypto/primitives.ts';
import { createDurably, destroyDurably, replaceDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import { readPrivate } from '../key-files.ts';
import type { KeyLife } from '../mixnet/key-epochs.ts';

const STORAGE_KEY_BYTES = 32;
const FOLDER = 'endpoints';
const LIFE = '.life.json';
const SECRET = '.secret.json';
/** What version 1 wrote: everything in one file. */
const ONE_FILE = '.json';
/** What `createDurably` leaves where it is killed. */
const DRAFT = '.draft';

const secretFields = {
  mix_secret: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{56})$/),
  /** Seals what the node writes about packets (design §6). */
  storage_key: z.string().regex(/^[0-9a-f]{64}$/),
};
const lifeFields = {
  endpoint_id: endpointIdField,
  peer_id: peerIdField,
  /** Of the controller that serves the endpoint. */
  catalog_url: z.string(),
  group: z.enum(['X25519', 'P-224']),
  opens: z.iso.datetime(),
  closes: z.iso.datetime(),
};
const oneFile = z.strictObject({ version: z.literal(1), ...lifeFields, ...secretFields });
const secretFile = z.strictObject({ version: z.literal(2), ...secretFields });
const lifeFile = z.strictObject({
  version: z.literal(2),
  ...lifeFields,
  /** Mix key, in hex: needed after the secret is gone, to know the endpoint at its controller. */
  public: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{58})$/),
  key_lifetime_ms: z.int().positive(),
  /** The secret is destroyed, or is to be. */
  ended: z.boolean(),
});
type LifeFile = z.output<typeof lifeFile>;
type SecretFile = z.output<typeof secretFile>;

/** A mix position with its keys. */
export interface OwnEndpoint extends KeyLife {
  readonly endpointId: string;
  readonly mixKey: MixKey;
  /** 32 bytes; seals records at rest. */
  readonly storageKey: Uint8Array;
}

/** A mix position on disk, with or without its keys. */
export interface OwnPosition extends KeyLife {
  readonly endpointId: string;
  readonly peerId: string;
  readonly catalogUrl: string;
  readonly group: GroupName;
  readonly publicKey: Uint8Array;
  /** Null once they are destroyed. */
  readonly endpoint: OwnEndpoint | null;
}

/** Whose a new position is. */
export interface PositionOwner {
  readonly peerId: string;
  /** Of the controller that is to serve it. */
  readonly catalogUrl: string;
  readonly group: GroupName;
}

/** All mix positions in a data folder. */
export class EndpointFiles {
  readonly #folder: string;
  readonly #primitives: Primitives;
  readonly #positions = new Map<string, OwnPosition>();

  /**
   * Reads what is there, and first destroys what was to be.
   * @throws PanoramixError `config-invalid` where a file may be read by others or is damaged
   */
  constructor(dataDir: string, primitives: Primitives) {
    this.#folder = join(dataDir, FOLDER);
    this.#primitives = primitives;
    this.#removeDrafts();
    this.#splitOneFiles();
    for (const id of this.#ids(SECRET)) {
      if (!this.#ids(LIFE).includes(id)) destroyDurably(this.#path(id, SECRET));
    }
    for (const id of this.#ids(LIFE)) this.#load(id);
  }

  /** Every position, in the order in which their keys open. */
  all(): readonly OwnPosition[] {
    return [...this.#positions.values()].toSorted(
      (left, right) =>
        left.opensMs - right.opensMs || (left.endpointId < right.endpointId ? -1 : 1),
    );
  }

  get(endpointId: string): OwnPosition | null {
    return this.#positions.get(endpointId) ?? null;
  }

  /** Draws a key and writes it down, secret first. */
  create(owner: PositionOwner, life: KeyLife): OwnPosition {
    const { random } = this.#primitives;
    const group = this.#primitives.group(owner.group);
    // Random: it says nothing, and collides with no other peer's on a shared controller.
    const endpointId = `mix_${toHex(random(8))}`;
    const mixKey = createMixKey(this.#primitives, group);
    const secret: SecretFile = {
      version: 2,
      mix_secret: toHex(mixKey.secret),
      storage_key: toHex(random(STORAGE_KEY_BYTES)),
    };
    const text = lifeText(owner, endpointId, mixKey.publicKey, life);
    this.#createBoth(text, secret);
    return this.#load(endpointId);
  }

  /** Writes down that a key lives otherwise than was planned. */
  change(endpointId: string, life: KeyLife): void {
    const { opensMs, closesMs, keyLifetimeMs } = life;
    this.#rewrite(endpointId, {
      opens: new Date(opensMs).toISOString(),
      closes: new Date(closesMs).toISOString(),
      key_lifetime_ms: keyLifetimeMs,
    });
  }

  /**
   * Destroys mix secret and storage key, on disk and in memory: from here on nobody opens what was sent to
   * the endpoint, nor what was written about it. What is left of it names it until `forget`.
   */
  end(endpointId: string): void {
    const known = this.#positions.get(endpointId)?.endpoint;
    try {
      this.#rewrite(endpointId, { ended: true });
    } catch (error) {
      // A full disk takes no mark, but zeros over what is there, and no secret waits for room.
      if (!known || (error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      this.#forgetKeys(endpointId, known);
    }
    destroyDurably(this.#path(endpointId, SECRET));
  }

  /** Removes what is left of an ended position. */
  forget(endpointId: string): void {
    if (this.#positions.get(endpointId)?.endpoint) throw new RangeError('its key is not destroyed');
    rmSync(this.#path(endpointId, LIFE), { force: true });
    this.#positions.delete(endpointId);
  }

  #rewrite(endpointId: string, change: Partial<LifeFile>): void {
    const path = this.#path(endpointId, LIFE);
    const text = parseFile(lifeFile, path);
    replaceDurably(path, jsonOf({ ...text, ...change }));
    const known = this.#positions.get(endpointId)?.endpoint;
    const position = positionOf({ ...text, ...change }, change.ended === true ? null : known);
    this.#positions.set(endpointId, position);
    if (change.ended === true && known) this.#forgetKeys(endpointId, known);
  }

  #forgetKeys(endpointId: string, { mixKey, storageKey }: OwnEndpoint): void {
    const position = this.#positions.get(endpointId);
    if (position) this.#positions.set(endpointId, { ...position, endpoint: null });
    mixKey.secret.fill(0);
    storageKey.fill(0);
  }

  #load(id: string): OwnPosition {
    const text = parseFile(lifeFile, this.#path(id, LIFE));
    const secretPath = this.#path(id, SECRET);
    // Killed in the middle of ending; or an operator has removed the secret, which is as good as the end.
    const isEnded =
      text.ended || !this.#ids(SECRET).includes(id) || isZeros(readPrivate(secretPath));
    if (isEnded) destroyDurably(secretPath);
    const secret = isEnded ? null : parseFile(secretFile, secretPath);
    const keys = secret && this.#keysOf(text.group, secret, secretPath);
    // A key that opens nothing that was made for it would drop every packet, one by one.
    if (text.endpoint_id !== id || (keys && toHex(keys.mixKey.publicKey) !== text.public)) {
      throw damaged(this.#path(id, LIFE));
    }
    const position = positionOf(text, keys);
    this.#positions.set(id, position);
    return position;
  }

  #keysOf(
    name: GroupName,
    secret: SecretFile,
    path: string,
  ): Pick<OwnEndpoint, 'mixKey' | 'storageKey'> {
    const group = this.#primitives.group(name);
    const mixSecret = fromHex(secret.mix_secret) as Uint8Array;
    // 28 zeros are no secret of P-224: we have never written any.
    if (mixSecret.length !== group.secretBytes || mixSecret.every((byte) => byte === 0)) {
      throw damaged(path);
    }
    const storageKey = fromHex(secret.storage_key) as Uint8Array;
    return { mixKey: mixKeyFromSecret(group, mixSecret), storageKey };
  }

  #createBoth(life: LifeFile, secret: SecretFile): void {
    createDurably(this.#path(life.endpoint_id, SECRET), jsonOf(secret));
    createDurably(this.#path(life.endpoint_id, LIFE), jsonOf(life));
  }

  /** Two files in place of what version 1 wrote as one. */
  #splitOneFiles(): void {
    // The id of an endpoint has no dot: with one it is the name of one of the two.
    for (const id of this.#ids(ONE_FILE).filter((name) => !name.includes('.'))) {
      const path = this.#path(id, ONE_FILE);
      if (!this.#ids(LIFE).includes(id)) {
        const { mix_secret, storage_key, ...rest } = parseFile(oneFile, path);
        const secret: SecretFile = { version: 2, mix_secret, storage_key };
        const { mixKey } = this.#keysOf(rest.group, secret, path);
        const keyLifetimeMs = Date.parse(rest.closes) - Date.parse(rest.opens);
        const life: LifeFile = {
          ...rest,
          version: 2,
          public: toHex(mixKey.publicKey),
          key_lifetime_ms: keyLifetimeMs,
          ended: false,
        };
        this.#createBoth(life, secret);
      }
      destroyDurably(path);
    }
  }

  #removeDrafts(): void {
    for (const name of list(this.#folder).filter((one) => one.endsWith(DRAFT))) {
      const path = join(this.#folder, name);
      // One that has its name already is not to be overwritten with it.
      if (statSync(path).nlink > 1) rmSync(path, { force: true });
      else destroyDurably(path);
    }
  }

  #ids(ending: string): string[] {
    return list(this.#folder)
      .filter((name) => name.endsWith(ending))
      .map((name) => name.slice(0, -ending.length));
  }

  #path(id: string, ending: string): string {
    return join(this.#folder, id + ending);
  }
}

function lifeText(
  { peerId, catalogUrl, group }: PositionOwner,
  endpointId: string,
  publicKey: Uint8Array,
  { opensMs, closesMs, keyLifetimeMs }: KeyLife,
): LifeFile {
  return {
    version: 2,
    endpoint_id: endpointId,
    peer_id: peerId,
    catalog_url: catalogUrl,
    group,
    public: toHex(publicKey),
    opens: new Date(opensMs).toISOString(),
    closes: new Date(closesMs).toISOString(),
    key_lifetime_ms: keyLifetimeMs,
    ended: false,
  };
}

function positionOf(
  text: LifeFile,
  keys: Pick<OwnEndpoint, 'mixKey' | 'storageKey'> | null | undefined,
): OwnPosition {
  const shown = {
    endpointId: text.endpoint_id,
    opensMs: Date.parse(text.opens),
    closesMs: Date.parse(text.closes),
    keyLifetimeMs: text.key_lifetime_ms,
  };
  // Not enumerable: no log line and no copy by spread carries them.
  const endpoint = keys
    ? (Object.defineProperties(
        { ...shown },
        { mixKey: { value: keys.mixKey }, storageKey: { value: keys.storageKey } },
      ) as OwnEndpoint)
    : null;
  return {
    ...shown,
    peerId: text.peer_id,
    catalogUrl: text.catalog_url,
    group: text.group,
    publicKey: fromHex(text.public) as Uint8Array,
    endpoint,
  };
}

function parseFile<T>(schema: z.ZodType<T>, path: string): T {
  const parsed = schema.safeParse(parseOrNull(readPrivate(path)));
  if (parsed.success) return parsed.data;
  throw new PanoramixError('config-invalid', `${path} is no key file of this version`);
}

function damaged(path: string): PanoramixError {
  return new PanoramixError(
    'config-invalid',
    `${path} does not fit its key: restore it, or remove the key's files to end it; what was sent to it comes again on another way`,
  );
}

function jsonOf(file: LifeFile | SecretFile): string {
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** Whether a secret was overwritten, and its end cut off there, before it could be marked. */
function isZeros(text: string): boolean {
  return /^\0*$/.test(text);
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
