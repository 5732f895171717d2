/**
 * Watches the key files of all nodes of a mixnet of real processes: notes each endpoint's mix secret and
 * storage key while they live, takes along what they seal, and after their end looks for both, and for
 * anything that still opens it, in every file that is left.
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { fromBase64url, fromHex } from '../../src/bytes.ts';
import { findBytes, type Finding, type Needle } from '../redis/search-bytes.ts';
import { openedSources, writtenValues, type StoredValue } from '../redis/search-store.ts';
import type { RealMixnet } from './real-mixnet.ts';

const LOOK_MS = 200;
/** Of the packets that a key sealed so many are taken along. */
const SEALED_MAX = 4;

/** One mix key, from its file's first to its last day. */
export interface WatchedKey {
  readonly node: string;
  readonly endpointId: string;
  readonly mixSecret: Uint8Array;
  readonly storageKey: Uint8Array;
  readonly opensMs: number;
  readonly closesMs: number;
  readonly firstSeenMs: number;
  /** When its file was gone; null while it is there. */
  readonly goneMs: number | null;
  /** Files that held it while it lived, as the search after its end looks for it. */
  readonly foundIn: readonly Finding[];
  /** Packets that it sealed, out of the append-only file, which it opened while it lived. */
  readonly sealed: readonly StoredValue[];
  /** A second name of the file with both: what is left of its bytes once the node has unlinked it. */
  readonly remains: string;
}

/** What opens with what is left in files. */
export interface Opened {
  /** Nodes and endpoints of ended keys of which a packet opens: none should. */
  readonly ofEnded: readonly string[];
  /** So many keys that live, of which a packet opens: their files are there. */
  readonly ofLiving: number;
  /** Different keys and hashes that were tried. */
  readonly tried: number;
}

/** What the two files of an endpoint hold (`src/mixer/endpoint-files.ts`). */
interface KeyFiles {
  readonly endpoint_id: string;
  readonly mix_secret: string;
  readonly storage_key: string;
  readonly opens: string;
  readonly closes: string;
}

const LIFE = '.life.json';
const SECRET = '.secret.json';

interface Peer {
  readonly name: string;
  readonly nodeDataDir: string;
}

/** See the head of this file. */
export class KeyWatch {
  readonly #real: RealMixnet;
  readonly #keys = new Map<string, { -readonly [Field in keyof WatchedKey]: WatchedKey[Field] }>();
  readonly #remains: string;
  #timer: NodeJS.Timeout | null = null;

  constructor(real: RealMixnet) {
    this.#real = real;
    // On the same disk, or there would be no second name; outside of what a node owns.
    this.#remains = join(real.folder, 'remains');
    mkdirSync(this.#remains);
  }

  start(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#look();
  }

  /** All keys seen so far, oldest first. */
  keys(node?: string): readonly WatchedKey[] {
    return [...this.#keys.values()].filter((key) => node === undefined || key.node === node);
  }

  /** Keys whose file is gone. */
  ended(node?: string): readonly WatchedKey[] {
    return this.keys(node).filter(({ goneMs }) => goneMs !== null);
  }

  /**
   * Of each key that lives and has not been tried yet: searches its node's files for it, and takes along
   * packets that it has sealed. To be called often enough that each key is tried while it is in use.
   */
  async tryLiving(): Promise<void> {
    for (const { name, nodeDataDir } of this.#real.mixnet.peers) {
      const living = [...this.#keys.values()].filter(
        (key) => key.node === name && key.goneMs === null && key.sealed.length === 0,
      );
      if (living.length === 0) continue;
      const written = await writtenValues(nodeDataDir).catch(() => []);
      for (const key of living) {
        const found = await searchFolder(needlesOf([key]), join(nodeDataDir, 'endpoints'));
        const own = written.filter((stored) => ownerOf(stored) === key.endpointId);
        const sealed = own
          .slice(-SEALED_MAX)
          .filter((stored) => openedSources([stored], [key.storageKey]).length === 1);
        // Gone meanwhile: what was seen of it stands.
        if (key.goneMs !== null) continue;
        key.foundIn = found;
        key.sealed = sealed;
      }
    }
  }

  /** What of the ended keys still lies in any file of any node and controller, in any spelling. */
  async searchEnded(keys: readonly WatchedKey[] = this.ended()): Promise<readonly Finding[]> {
    const needles = needlesOf(keys);
    const findings: Finding[] = [];
    for (const folder of this.#folders()) findings.push(...(await searchFolder(needles, folder)));
    return findings;
  }

  /** What of the ended keys still stands where their files were, after these were unlinked. */
  searchRemains(): readonly Finding[] {
    return this.ended().flatMap((key) => {
      const bytes = readFileSync(key.remains);
      return findBytes(needlesOf([key]), [{ name: key.remains, bytes }]);
    });
  }

  /** Tries everything that is left and may be a key on the sealed packets: whose packets it opens. */
  async openWithWhatIsLeft(): Promise<Opened> {
    // Those that end while files are read were there, and may be found.
    const ended = new Set(this.ended());
    const candidates = await this.#candidates();
    const opened = this.keys().filter(({ sealed }) => openedSources(sealed, candidates).length > 0);
    return {
      ofEnded: opened
        .filter((key) => ended.has(key))
        .map(({ node, endpointId }) => `${node} ${endpointId}`),
      ofLiving: opened.filter((key) => !ended.has(key)).length,
      tried: candidates.length,
    };
  }

  /**
   * Whether the search would see a secret in each spelling: it is written into a node's folder for a moment.
   * @returns the spellings that were found
   */
  async plant(key: WatchedKey): Promise<readonly string[]> {
    const { nodeDataDir } = this.#peer(key.node);
    const found: string[] = [];
    for (const spelling of ['raw', 'hex', 'base64', 'base64url'] as const) {
      const path = join(nodeDataDir, 'planted');
      const secret = Buffer.from(key.mixSecret);
      writeFileSync(path, spelling === 'raw' ? secret : `key=${secret.toString(spelling)};`);
      const where = await searchFolder(needlesOf([key]), nodeDataDir);
      rmSync(path);
      if (where.some(({ source }) => source === path)) found.push(spelling);
    }
    return found;
  }

  #look(): void {
    const nowMs = Date.now();
    const there = new Set<string>();
    for (const { name, nodeDataDir } of this.#real.mixnet.peers) {
      const folder = join(nodeDataDir, 'endpoints');
      for (const id of endpointIds(folder)) {
        const keys = readKeyFiles(join(folder, id));
        if (keys === null) continue;
        there.add(id);
        if (!this.#keys.has(id)) this.#note(name, join(folder, id + SECRET), keys, nowMs);
      }
    }
    for (const key of this.#keys.values()) {
      if (key.goneMs === null && !there.has(key.endpointId)) key.goneMs = nowMs;
    }
  }

  #note(node: string, path: string, file: KeyFiles, nowMs: number): void {
    const remains = join(this.#remains, file.endpoint_id);
    try {
      linkSync(path, remains);
    } catch {
      // Gone between two looks; it was seen too late to count.
      return;
    }
    this.#keys.set(file.endpoint_id, {
      node,
      endpointId: file.endpoint_id,
      mixSecret: fromHex(file.mix_secret) as Uint8Array,
      storageKey: fromHex(file.storage_key) as Uint8Array,
      opensMs: Date.parse(file.opens),
      closesMs: Date.parse(file.closes),
      firstSeenMs: nowMs,
      goneMs: null,
      foundIn: [],
      sealed: [],
      remains,
    });
  }

  /** Everything of 32 bytes that stands in a file in hex or base64url, and every file of 32 bytes. */
  async #candidates(): Promise<readonly Uint8Array[]> {
    const found = new Map<string, Uint8Array>();
    for (const folder of this.#folders()) {
      for (const path of await filesBelow(folder)) {
        // Of packets and what is kept of them; that no key stands there says the search.
        if (path.includes('appendonlydir')) continue;
        const bytes = readOrEmpty(path);
        const text = bytes.toString('latin1');
        const hex = text.match(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g) ?? [];
        const base64url = text.match(/(?<![\w-])[\w-]{43}(?![\w-])/g) ?? [];
        const keys = [...hex.map(fromHex), ...base64url.map(fromBase64url)];
        if (bytes.length === 32) keys.push(new Uint8Array(bytes));
        for (const key of keys) {
          if (key?.length === 32) found.set(Buffer.from(key).toString('hex'), key);
        }
      }
    }
    return [...found.values()];
  }

  /** Of each peer the folder that holds its node, its controller and what both have stored; the logs. */
  #folders(): readonly string[] {
    const { mixnet, folder } = this.#real;
    return [...mixnet.peers.map(({ nodeDataDir }) => dirname(nodeDataDir)), join(folder, 'logs')];
  }

  #peer(name: string): Peer {
    const peer = this.#real.mixnet.peers.find((each) => each.name === name);
    if (!peer) throw new Error(`no peer is called ${name}`);
    return peer;
  }
}

function needlesOf(keys: readonly WatchedKey[]): Needle[] {
  return keys.flatMap(({ node, endpointId, mixSecret, storageKey }) => [
    { name: `mix secret of ${node} ${endpointId}`, bytes: mixSecret },
    { name: `storage key of ${node} ${endpointId}`, bytes: storageKey },
  ]);
}

/** File after file, so that no more than one is in memory and mail goes on between two. */
async function searchFolder(
  needles: readonly Needle[],
  folder: string,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const path of await filesBelow(folder)) {
    findings.push(...findBytes(needles, [{ name: path, bytes: readOrEmpty(path) }]));
    await breathe();
  }
  return findings;
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A record's value begins with the length and the id of the endpoint whose key seals it. */
function ownerOf({ key, value }: StoredValue): string | null {
  if (key.split(':')[1] !== 'record') return null;
  return value.toString('latin1', 1, 1 + (value[0] ?? 0));
}

/** Endpoints whose secrets are there. */
function endpointIds(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(SECRET))
      .map((name) => name.slice(0, -SECRET.length));
  } catch {
    return [];
  }
}

/** Null where one is being written, overwritten or gone. */
function readKeyFiles(path: string): KeyFiles | null {
  try {
    const [life, secret] = [LIFE, SECRET].map((ending) => {
      return JSON.parse(readFileSync(path + ending, 'utf8')) as Partial<KeyFiles>;
    });
    const keys = { ...life, ...secret } as KeyFiles;
    return fromHex(keys.mix_secret)?.length === 32 && fromHex(keys.storage_key)?.length === 32
      ? keys
      : null;
  } catch {
    return null;
  }
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    // A rewrite, or the end of a key, has taken it away.
    return Buffer.alloc(0);
  }
}
