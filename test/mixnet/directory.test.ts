import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { nodeAddress } from '../../src/crypto/keys.ts';
import {
  exitForDomain,
  nodeByAddress,
  nodeByPeer,
  openEndpoint,
  type Directory,
  type DirectoryNode,
} from '../../src/mixnet/directory.ts';
import { verifyNodes } from '../../src/mixnet/verify-nodes.ts';
import { LIFETIME_MS, NOW_MS, paperMixnet } from './signed-directory.ts';

const mixnet = paperMixnet();

function verified(): Directory {
  const result = verifyNodes(mixnet.nodes, mixnet.mixnetId, native, NOW_MS);
  if (!result.ok) throw new Error(result.reason);
  return result.directory;
}

test('a packet’s address leads to the node and the endpoint whose key it names', (t) => {
  const directory = verified();
  for (const node of directory.nodes) {
    const endpoint = node.endpoints[0];
    const address = nodeAddress(native, node.peerId, endpoint?.publicKey as Uint8Array);
    t.deepEqual(nodeByAddress(directory, address), { node, endpoint });
  }
  t.is(nodeByAddress(directory, new Uint8Array(16)), null);
  t.is(nodeByAddress(directory, new Uint8Array(0)), null);
});

test('a mail domain has one exit, whatever its case, and others have none', (t) => {
  const directory = verified();
  const [first, second] = mixnet.owners;
  t.is(exitForDomain(directory, 'alpha.example')?.peerId, first?.peerId);
  t.is(exitForDomain(directory, 'BETA.Example')?.peerId, second?.peerId);
  t.is(exitForDomain(directory, 'xn--bcher-kva.example')?.peerId, second?.peerId);
  t.is(exitForDomain(directory, 'gamma.example'), null);
  t.is(exitForDomain(directory, 'sub.alpha.example'), null);
  t.is(nodeByPeer(directory, first?.peerId as string)?.domains[0], 'alpha.example');
  t.is(nodeByPeer(directory, mixnet.mixnetId), null);
});

test('of several endpoints the one that stays open longest takes packets', (t) => {
  const node = verified().nodes[0] as DirectoryNode;
  const endpoint = { ...(node.endpoints[0] as DirectoryNode['endpoints'][number]) };
  const late = { ...endpoint, endpointId: 'late', closesMs: endpoint.closesMs + 1 };
  const closed = { ...endpoint, endpointId: 'closed', closesMs: NOW_MS };
  const future = { ...endpoint, endpointId: 'future', opensMs: NOW_MS + 1, closesMs: NOW_MS * 2 };
  const many = { ...node, endpoints: [closed, endpoint, late, future] };
  t.is(openEndpoint(many, NOW_MS)?.endpointId, 'late');
  t.is(openEndpoint(many, NOW_MS + 1)?.endpointId, 'future');
  t.is(openEndpoint({ ...node, endpoints: [closed] }, NOW_MS), null);
  t.is(openEndpoint({ ...node, endpoints: [] }, NOW_MS), null);
});

test('a node without an entry stays in the directory, serves its domains and takes no packets', (t) => {
  const { nodes, mixnetId, owners } = paperMixnet({
    signed: (entry, index) => (index === 0 ? null : entry),
  });
  const result = verifyNodes(nodes, mixnetId, native, NOW_MS);
  if (!result.ok) return t.fail(result.reason);
  const exit = exitForDomain(result.directory, 'alpha.example');
  t.is(exit?.peerId, owners[0]?.peerId);
  t.is(openEndpoint(exit as DirectoryNode, NOW_MS), null);
  return t.is(result.directory.nodes.length, 3);
});

test('the directory says what was agreed', (t) => {
  const directory = verified();
  t.like(directory, {
    mixnetId: mixnet.mixnetId,
    name: 'paper',
    params: { group: 'X25519', headerLen: 320, bodyLen: 2048 },
    owners: mixnet.owners.map((owner) => owner.peerId),
    rule: { m: 2, n: 3 },
    number: 1,
    previousHash: mixnet.mixnetId,
    validFromMs: NOW_MS,
    validUntilMs: NOW_MS + LIFETIME_MS,
    traffic: {
      delayMeanMs: 2000,
      ticksPerSecond: 0.5,
      mixesPerRoute: 3,
      expiryMs: 5 * 86_400_000,
    },
  });
});
