/**
 * After mail has crossed a mixnet of real processes: whoever takes a node's Redis, its files and its log
 * finds no packet that came or left, no tag, no address and no subject. With the storage keys, which
 * lie in files of their own, the same search finds them: so it would find them in clear.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { concat, fromBase64url, fromHex, fromUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { createSealing } from '../../src/redis/sealing.ts';
import { findBytes, type Needle, type Source } from '../redis/search-bytes.ts';
import {
  fileSources,
  openedSources,
  storeSources,
  storedValues,
  textSource,
  writtenValues,
  type StoredValue,
} from '../redis/search-store.ts';
import { AllKeys } from './all-keys.ts';
import { programOf, startBehindDoors, type DooredMixnet } from './hostile-inbox.ts';
import { until } from './real-mixnet.ts';

const MAILS = 8;
const MIXES = ['mix-1', 'mix-2', 'mix-3'];
const PATIENCE_MS = 90_000;
/** Of each packet so much of its header and of its body is looked for; a piece of 16 bytes is enough. */
const PIECE_BYTES = 64;
/** Of each node the latest: those before may have left its files with a rewrite. */
const PACKETS_MAX = 120;

/** What passed through one node. */
interface Passed {
  readonly in: string[];
  readonly out: string[];
}

let net: DooredMixnet;
let keys: AllKeys;
const passed = new Map<string, Passed>();

test.before(async () => {
  net = await startBehindDoors({ ticksPerSecond: 4, logLevel: 'debug' });
  keys = new AllKeys(net.real);
  for (const name of net.doors.keys()) passed.set(name, { in: [], out: [] });
  for (const [name, door] of net.doors) {
    door.onTaken = ({ sender, text }) => {
      passed.get(name)?.in.push(text);
      passed.get(keys.nameOf(sender))?.out.push(text);
    };
  }
  for (let i = 0; i < MAILS; i++) await net.real.submit('alpha', mail(i));
  let arrived = 0;
  await until(
    'all mails arrive',
    () => (arrived += net.real.arrived().length) >= MAILS,
    PATIENCE_MS,
  );
  // At once and all together: what a node does at its end to tidy up does not happen.
  await Promise.all(net.real.mixnet.nodes.map((node) => node.kill()));
});

test.after.always(async () => {
  await net?.stop();
});

test.serial('a node that was killed tells nothing in clear', async (t) => {
  for (const name of net.doors.keys()) {
    const needles = [...packetsOf(name), ...tagsOf(name), ...words()];
    t.true(needles.length > 100, `${name}: ${needles.length}`);
    const { clear } = await seized(name);
    t.deepEqual(findBytes(needles, clear), [], name);
  }
});

test.serial('with its storage keys the same search finds what came, left and waited', async (t) => {
  for (const name of net.doors.keys()) {
    const { clear, values } = await seized(name);
    const opened = openedSources(values, Object.values(storageKeys(name)));
    const found = new Set(findBytes(packetsOf(name), opened).map(({ needle }) => needle));
    t.true(
      [...found].some((needle) => needle.startsWith('out')),
      `${name}: no packet that left`,
    );
    // Which packet came for which record: only the key joins the two.
    const records = recordsOf(name);
    t.true(findBytes(records, clear).length > 0, `${name}: no record of a packet that came`);
  }
  const { values } = await seized('alpha');
  const entry = openedSources(values, Object.values(storageKeys('alpha')));
  t.true(findBytes(words(), entry).length > 0, 'no word of a mail at its entry');
});

test.serial(
  'a mix that was stopped politely has no name left of what it passed on, even for its keys',
  async (t) => {
    for (const name of MIXES) {
      const came = latest(name, 'in');
      const { nodeDataDir } = peerOf(name);
      programOf(net.real, name).start();
      // A job that a killed worker had is back after 15 s.
      await until(
        `${name} passes on what it had`,
        async () => hasLeft(name, came) && !(await holds(name, came)),
        PATIENCE_MS,
      );
      await programOf(net.real, name).stop();
      const files = await fileSources(join(nodeDataDir, 'redis'));
      t.true(files.length > 0);
      t.deepEqual(findBytes(recordsOf(name, came), files), [], name);
    }
  },
);

/** Whether for each of these packets another has left, where one must. */
function hasLeft(name: string, came: readonly string[]): boolean {
  const left = new Set(passed.get(name)?.out);
  return came.every((text) => {
    const fate = keys.fate(name, text);
    return fate.kind === 'end' || left.has(fate.text);
  });
}

/** Whether a node's Redis still holds a record for one of these packets. */
async function holds(name: string, came: readonly string[]): Promise<boolean> {
  const { nodeDataDir } = peerOf(name);
  const store = await connectStore({ dataDir: nodeDataDir, log: silentLog, name: 'test' });
  try {
    return findBytes(recordsOf(name, came), await storeSources(store.redis)).length > 0;
  } finally {
    await store.close();
  }
}

/** All that lies around of a node: what reads as it is, and the stored values that a key may open. */
async function seized(
  name: string,
): Promise<{ readonly clear: readonly Source[]; readonly values: readonly StoredValue[] }> {
  const { nodeDataDir } = peerOf(name);
  const store = await connectStore({ dataDir: nodeDataDir, log: silentLog, name: 'test' });
  try {
    const clear = [
      ...(await storeSources(store.redis)),
      ...(await fileSources(join(nodeDataDir, 'redis'))),
      textSource('log', readFileSync(net.real.mixnet.logOf(name), 'utf8')),
    ];
    const values = [...(await storedValues(store.redis)), ...(await writtenValues(nodeDataDir))];
    return { clear, values };
  } finally {
    await store.close();
  }
}

function packetsOf(name: string): Needle[] {
  return (['in', 'out'] as const).flatMap((way) =>
    latest(name, way).flatMap((text, i) => {
      const packet = fromBase64url(text) as Uint8Array;
      const bodyFrom = packet.length - keys.sphinx.partBytes.delta;
      return [
        { name: `${way} ${i}, header`, bytes: packet.subarray(0, PIECE_BYTES) },
        { name: `${way} ${i}, body`, bytes: packet.subarray(bodyFrom, bodyFrom + PIECE_BYTES) },
      ];
    }),
  );
}

function tagsOf(name: string): Needle[] {
  return latest(name, 'in').map((text, i) => ({
    name: `tag ${i}`,
    bytes: keys.tag(name, text),
  }));
}

/** The names that records of what came have, which only the endpoint's storage key gives. */
function recordsOf(name: string, texts: readonly string[] = latest(name, 'in')): Needle[] {
  const sealing = createSealing(native, storageKeys(name).endpoint);
  return texts.map((text, i) => {
    const record = sealing.nameOf(concat(fromUtf8('record:'), keys.tag(name, text)));
    return { name: `record ${i}`, bytes: fromHex(record) as Uint8Array };
  });
}

/** Addresses, subjects and text of the mails. */
function words(): Needle[] {
  return Array.from({ length: MAILS }, (_, i) => mail(i)).flatMap(({ from, to, data }, i) => [
    { name: `sender ${i}`, bytes: fromUtf8(from) },
    { name: `recipient ${i}`, bytes: fromUtf8(to[0] as string) },
    { name: `mail ${i}`, bytes: data.subarray(data.indexOf('Subject') + 'Subject: '.length) },
  ]);
}

function mail(number: number) {
  const text = `a matter of ${number} strangers\r\n\r\nwhom nobody shall know, number ${number}\r\n`;
  const data = Buffer.from(`X-PANORAMIX-Mixable: yes\r\nSubject: ${text}`);
  const from = `wilhelmina.${number}@alpha.example`;
  return { from, to: [`bartholomew.${number}@beta.example`], data, queueId: `LOG${number}` };
}

function latest(name: string, way: keyof Passed): readonly string[] {
  return (passed.get(name)?.[way] ?? []).slice(-PACKETS_MAX);
}

function storageKeys(name: string): { readonly node: Uint8Array; readonly endpoint: Uint8Array } {
  const { nodeDataDir } = peerOf(name);
  const folder = join(nodeDataDir, 'endpoints');
  const file = readdirSync(folder).find((each) => each.endsWith('.secret.json')) ?? '';
  const endpoint = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { storage_key: string };
  return {
    node: fromHex(readFileSync(join(nodeDataDir, 'storage.key'), 'utf8').trim()) as Uint8Array,
    endpoint: fromHex(endpoint.storage_key) as Uint8Array,
  };
}

function peerOf(name: string) {
  const peer = net.real.mixnet.peers.find((each) => each.name === name);
  if (!peer) throw new Error(`no peer is called ${name}`);
  return peer;
}
