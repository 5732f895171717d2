/**
 * Directories. Twice: a whole nodes.json that is changed behind the owners' backs, of which nothing changed may
 * be believed; and one that owners have signed over anything, for the owners of a mixnet may be hostile too.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseStrict } from '../../../src/api/canonical.ts';
import { fromUtf8, toHex } from '../../../src/bytes.ts';
import { nodeAddress } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import type { Directory } from '../../../src/mixnet/directory.ts';
import { readNodes, verifyNodes } from '../../../src/mixnet/verify-nodes.ts';
import { parseMixnet } from '../../../src/mixnet/directory-texts.ts';
import { hashText } from '../../../src/api/signed.ts';
import { agreeOnPaper, NOW_MS, paperMixnet } from '../../mixnet/signed-directory.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import { hold, type Target } from '../target.ts';

const WORDS = [
  'a.example', 'xn--bcher-kva.example', 'http://127.0.0.1:8000/', 'https://a.example/', 'http://a.example/',
  'gateway', 'mix', 'X25519', 'P-224', '2026-03-01T12:00:00.000Z', '9999-12-31T23:59:59Z', 'a'.repeat(64),
]; // prettier-ignore

export function openNodesJson(): Target {
  const paper = paperMixnet();
  const honest = verifyNodes(paper.nodes, paper.mixnetId, native, NOW_MS);
  if (!honest.ok) throw new Error(honest.reason);
  return {
    seeds: [fromUtf8(JSON.stringify(paper.nodes))],
    mutations: [...JSON_MUTATIONS, ...JSON_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 131_072,
    shortRuns: 4_000,
    run(input) {
      const json = parseStrict(input);
      if (!json.ok) return;
      const verified = verifyNodes(json.value, paper.mixnetId, native, NOW_MS);
      if (!verified.ok) return;
      hold(
        isDeepStrictEqual(verified.directory, honest.directory),
        'a changed directory is believed',
      );
    },
  };
}

/** The input is what the owners sign: log entry and snapshot. */
export function openSignedDirectory(): Target {
  const paper = paperMixnet();
  const change = { resource: 'peer', operation: 'partial_update' };
  const [log] = paper.nodes.log;
  const honest = readNodes(paper.nodes, paper.mixnetId, native);
  if (!honest.ok) throw new Error(honest.reason);
  const seed = { log: dataOf(log), snapshot: dataOf(paper.nodes.snapshot) };
  return {
    seeds: [fromUtf8(JSON.stringify(seed))],
    mutations: JSON_MUTATIONS,
    dictionary: WORDS,
    inputBytesMax: 65_536,
    shortRuns: 2_000,
    run(input) {
      const json = parseStrict(input);
      if (!json.ok || typeof json.value !== 'object' || json.value === null) return;
      const { log: logData = null, snapshot: data = null } = json.value as Record<string, unknown>;
      const logRecord = agreeOnPaper({ data: logData, info: change }, paper.owners);
      const head = hashText(native, logRecord.text);
      const snapshotData = withHead(data, head);
      const snapshot = agreeOnPaper({ data: snapshotData, info: change }, paper.owners);
      const nodes = { ...paper.nodes, log: [logRecord], snapshot };
      const read = readNodes(nodes, paper.mixnetId, native);
      if (!read.ok) return;
      checkDirectory(read.directory, paper.nodes.founding.text);
      checkEntries(read.directory, honest.directory);
    },
  };
}

/** What a record's text agrees on. */
function dataOf(record: { readonly text: string } | undefined): unknown {
  return (JSON.parse(record?.text ?? '{}') as { readonly data: unknown }).data;
}

/** What a node says of itself it has signed: owners may leave it out, and change nothing of it. */
function checkEntries(directory: Directory, honest: Directory): void {
  for (const { peerId, controllerUrl, paused, endpoints } of directory.nodes) {
    const own = honest.nodes.find((node) => node.peerId === peerId);
    if (controllerUrl === '' || own === undefined) {
      hold(endpoints.length === 0, 'endpoints that nobody has signed');
      continue;
    }
    hold(controllerUrl === own.controllerUrl, 'a controller that its node has not signed');
    hold(paused === own.paused, 'a pause that its node has not signed');
    hold(isDeepStrictEqual(endpoints, own.endpoints), 'endpoints that their node has not signed');
  }
}

/** The snapshot names the log entry by its hash, which is new each time. */
function withHead(data: unknown, head: string): unknown {
  if (typeof data !== 'object' || data === null || !('snapshot' in data)) return data;
  const { snapshot } = data;
  if (typeof snapshot !== 'object' || snapshot === null || Array.isArray(snapshot)) return data;
  return { ...data, snapshot: { ...snapshot, log_head: head } };
}

/** Whatever owners agree on, routes are drawn from it without a second look. */
function checkDirectory(directory: Directory, founding: string): void {
  const { data } = JSON.parse(founding) as { readonly data: { readonly key_data: string } };
  hold(parseMixnet(data.key_data) !== null, 'founding terms that are none');
  const domains = directory.nodes.flatMap((node) => node.domains);
  hold(new Set(domains).size === domains.length, 'a domain is served twice');
  const { traffic, validFromMs, validUntilMs } = directory;
  for (const number of [...Object.values(traffic), validFromMs, validUntilMs]) {
    hold(Number.isFinite(number) && number >= 0, 'a number that is none');
  }
  for (const node of directory.nodes) {
    hold(/^[0-9a-f]{64}$/.test(node.peerId), 'a node of no peer');
    hold(node.controllerUrl === '' || URL.canParse(node.controllerUrl), 'a controller of no URL');
    for (const { publicKey, address, opensMs, closesMs } of node.endpoints) {
      hold(native.group('X25519').accepts(publicKey), 'a key that no packet can be made for');
      const wanted = nodeAddress(native, node.peerId, publicKey);
      hold(toHex(address) === toHex(wanted), 'an address of another key');
      hold(opensMs < closesMs, 'an endpoint that closes before it opens');
    }
  }
}
