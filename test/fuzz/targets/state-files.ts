/**
 * Files that a node reads at its start: what was agreed on, keys, the operator's wishes and lists. A damaged one is
 * named and nothing is begun on it. The first line of an input says which file it is.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OptOutList } from '../../../filters/opt-out.ts';
import { toHex } from '../../../src/bytes.ts';
import { createMixKey } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { readOrCreateSecret } from '../../../src/key-files.ts';
import { silentLog } from '../../../src/log.ts';
import { readOrCreateBatchKeys } from '../../../src/mixer/batch/batch-keys.ts';
import { DirectoryMemory } from '../../../src/mixer/directory-memory.ts';
import { EndpointFiles } from '../../../src/mixer/endpoint-files.ts';
import { readEvidence } from '../../../src/mixer/evidence.ts';
import { MixnetStateFile } from '../../../src/mixer/mixnet-state.ts';
import { OperatorFile } from '../../../src/mixer/operator-file.ts';
import { paperMixnet } from '../../mixnet/signed-directory.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import type { Mutation } from '../mutation.ts';
import { ADDRESSES, textSeeds } from '../seeds.ts';
import { hold, namedOrNull, type Target } from '../target.ts';

const WORDS = [
  'X25519',
  'P-224',
  'true',
  'false',
  '2026-03-01T12:00:00.000Z',
  'a'.repeat(64),
  'b'.repeat(56),
  '@',
  '#',
  '\n',
  '\0',
  '__proto__',
];
const LIFE = {
  version: 2,
  endpoint_id: 'mix_a',
  peer_id: 'a'.repeat(64),
  catalog_url: 'http://127.0.0.1:8000/',
  group: 'X25519',
  opens: '2026-03-01T12:00:00.000Z',
  closes: '2026-03-02T12:00:00.000Z',
  key_lifetime_ms: 86_400_000,
  ended: false,
};
const STATE = {
  version: 1,
  catalog_url: 'http://127.0.0.1:8000/',
  peer_id: 'a'.repeat(64),
  founding_negotiation_id: 'A'.repeat(43),
  tokens: ['t'],
  leaving: { b: 1 },
  places: [{ negotiation_id: 'n', number: 1 }],
  batch: { step: 'create', closings: 0, opened: [] },
  signed: { a: 'text' },
};
const SEEN = {
  number: 3,
  snapshot: 'b'.repeat(64),
  previous: 'c'.repeat(64),
  log_head: 'd'.repeat(64),
  domains: ['a.example'],
};
const WISHES = {
  version: 1,
  paused: true,
  forgiven: [3],
  change: {
    wish: { add_domains: ['a.example'], set: { key_lifetime_ms: 1 }, rule: { m: 1, n: 2 } },
  },
  signed: {},
};

export function openStateFiles(scratch: string): Target {
  const { secret, publicKey } = createMixKey(native, native.group('X25519'));
  const life = { ...LIFE, public: toHex(publicKey) };
  const secretFile = { version: 2, mix_secret: toHex(secret), storage_key: 'c'.repeat(64) };
  const { version: _, ended: __, key_lifetime_ms: ___, ...shared } = LIFE;
  const oneFile = { version: 1, ...shared, mix_secret: toHex(secret), storage_key: 'c'.repeat(64) };
  const batchFile = {
    version: 1,
    endpoint_id: 'ep',
    group: 'X25519',
    mix_secret: toHex(secret),
    order_key: 'd'.repeat(64),
  };
  const { snapshot } = paperMixnet().nodes;
  const evidence = {
    version: 1,
    mixnet: 'a'.repeat(64),
    number: 3,
    log_head: 'b'.repeat(64),
    seen: '2026-03-01T12:00:00.000Z',
    signed_both: ['c'.repeat(64)],
    records: [snapshot, snapshot],
  };
  const path = (name: string): string => join(scratch, name);

  const readers: Readonly<Record<string, (content: Uint8Array) => void>> = {
    identity: (content) => {
      write(path('identity.key'), content);
      const read = namedOrNull(() => readOrCreateSecret(path('identity.key'), native.random));
      hold(read === null || read.length === 32, 'a secret of another length');
    },
    state: (content) => {
      write(path('mixnet.json'), content);
      const read = namedOrNull(() => new MixnetStateFile(path('mixnet.json')).read());
      hold(read === null || typeof read.peer_id === 'string', 'a state of nobody');
    },
    operator: (content) => {
      write(path('mixnet-operator.json'), content);
      namedOrNull(() => new OperatorFile(path('mixnet.json')).read());
    },
    life: (content) =>
      readKeys({ 'mix_a.life.json': content, 'mix_a.secret.json': json(secretFile) }),
    secret: (content) => readKeys({ 'mix_a.life.json': json(life), 'mix_a.secret.json': content }),
    one: (content) => readKeys({ 'mix_a.json': content }),
    batch: (content) => {
      mkdirSync(path('batch'), { recursive: true });
      write(path('batch/ep.json'), content);
      namedOrNull(() => readOrCreateBatchKeys(scratch, native, 'ep', 'X25519'));
    },
    seen: (content) => {
      write(path('directory-seen.json'), content);
      const seen = namedOrNull(() => new DirectoryMemory(scratch, 'a'.repeat(64)));
      hold(seen === null || !seen.remembers('never.example'), 'a domain that was never seen');
    },
    evidence: (content) => {
      write(path('equivocation-3.json'), content);
      namedOrNull(() => readEvidence(scratch, 'a'.repeat(64)));
    },
    list: (content) => {
      write(path('out.txt'), content);
      const list = namedOrNull(() => new OptOutList(path('out.txt'), silentLog));
      list?.has({ address: 'bob@in.example', local: 'bob', domain: 'in.example' });
    },
  };

  function readKeys(files: Readonly<Record<string, Uint8Array>>): void {
    const dataDir = path('data');
    rmSync(dataDir, { recursive: true, force: true });
    mkdirSync(join(dataDir, 'endpoints'), { recursive: true });
    for (const [name, content] of Object.entries(files))
      write(join(dataDir, 'endpoints', name), content);
    const positions = namedOrNull(() => new EndpointFiles(dataDir, native))?.all() ?? [];
    for (const { group, publicKey: shown, endpoint, opensMs, closesMs } of positions) {
      hold(Number.isFinite(opensMs) && Number.isFinite(closesMs), 'a key of no time');
      // Of a key that has ended nothing but its name is wanted.
      if (endpoint === null) continue;
      hold(native.group(group).accepts(shown), 'a key that no packet can be made for');
      hold(toHex(endpoint.mixKey.publicKey) === toHex(shown), 'a secret of another public key');
      hold(endpoint.storageKey.length === 32, 'a storage key of another length');
    }
  }

  const seeds = [
    `identity\n${'d'.repeat(64)}\n`,
    `state\n${JSON.stringify(STATE)}`,
    `operator\n${JSON.stringify(WISHES)}`,
    `life\n${JSON.stringify(life)}`,
    `secret\n${JSON.stringify(secretFile)}`,
    `one\n${JSON.stringify(oneFile)}`,
    `batch\n${JSON.stringify(batchFile)}`,
    `seen\n${JSON.stringify({ ['a'.repeat(64)]: SEEN })}`,
    `evidence\n${JSON.stringify(evidence)}`,
    `list\n# who\n${ADDRESSES.slice(0, 4).join('\n')}\n@b.example # all\n`,
  ];
  return {
    seeds: textSeeds(seeds),
    mutations: [...JSON_MUTATIONS, ...BYTE_MUTATIONS].map(behindFirstLine),
    dictionary: WORDS,
    inputBytesMax: 16_384,
    shortRuns: 1_500,
    run(input) {
      const newline = input.indexOf(0x0a);
      const name = Buffer.from(input.subarray(0, Math.max(0, newline))).toString('latin1');
      readers[name]?.(input.slice(newline + 1));
    },
  };
}

/** A change of what is in the file, not of which file it is. */
function behindFirstLine(mutation: Mutation): Mutation {
  return (input, around) => {
    const from = input.indexOf(0x0a) + 1;
    const other = around.other.subarray(around.other.indexOf(0x0a) + 1);
    const changed = mutation(input.subarray(from), { ...around, other });
    return new Uint8Array(Buffer.concat([input.subarray(0, from), changed]));
  };
}

function json(value: object): Uint8Array {
  return new Uint8Array(Buffer.from(JSON.stringify(value)));
}

function write(path: string, content: Uint8Array): void {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
}
