import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { hashText } from '../../src/api/signed.ts';
import { getDirectory, type DirectoryMemory, type Remembered } from '../../src/client/directory.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { createOwners, LIFETIME_MS, NOW_MS, paperMixnet } from '../mixnet/signed-directory.ts';

const owners = createOwners(3);
const first = paperMixnet({}, owners);
const { mixnetId } = first;
const logHead = hashText(native, first.nodes.log[0]?.text ?? '');

function later(number: number, signers = owners): object {
  const made = paperMixnet(
    {
      number,
      previous: 'a'.repeat(64),
      snapshot: (text) => ({ ...text, log_head: logHead }),
      snapshotSigners: () => signers,
    },
    owners,
  );
  return { ...first.nodes, snapshot: made.nodes.snapshot };
}

/** A controller that serves one text at any path; the base of its URL. */
async function serving(t: ExecutionContext, body: object | string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url === '/nodes.json') {
      response.writeHead(302, { location: `/panoramix/peers/${mixnetId}/nodes.json` }).end();
      return;
    }
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function memory(seen: Remembered | null = null): DirectoryMemory & { seen: Remembered | null } {
  const kept = {
    seen,
    read: async () => await Promise.resolve(kept.seen),
    write: async (next: Remembered) => {
      kept.seen = next;
      return await Promise.resolve();
    },
  };
  return kept;
}

const common = { primitives: native, now: () => NOW_MS, timeoutMs: 2_000 };
const peerUrl = (base: string): string => `${base}panoramix/peers/${mixnetId}/`;

test('a mix-net URL is enough, and commits to the mixnet', async (t) => {
  const url = peerUrl(await serving(t, first.nodes));
  for (const primitives of [native, portable]) {
    const answer = await getDirectory({ ...common, primitives, urls: [url] });
    t.like(answer, { trust: 'mixnet-url', url, refused: [] });
    t.is(answer.directory.number, 1);
  }
  const foreign = peerUrl(await serving(t, paperMixnet().nodes));
  const error = await t.throwsAsync(getDirectory({ ...common, urls: [foreign] }));
  t.regex(error.message, /directory-unusable: .*mixnet-mismatch/);
});

test('the newest of several controllers is taken, whoever lies or is away', async (t) => {
  const truncated = JSON.stringify(first.nodes).slice(0, 900);
  const bases = await Promise.all(
    [first.nodes, later(3), truncated, later(2), { ...first.nodes, log: [] }].map((body) =>
      serving(t, body),
    ),
  );
  const urls = [
    ...bases.map(peerUrl),
    peerUrl('http://127.0.0.1:9/'),
    'http://mix.example.org/nodes.json',
  ];
  const answer = await getDirectory({ ...common, urls });
  t.is(answer.directory.number, 3);
  t.is(answer.url, urls[1] ?? '');
  const reasons = new Map(answer.refused.map(({ url, reason }) => [url, reason]));
  t.is(reasons.get(urls[2] ?? ''), 'answer-malformed');
  t.is(reasons.get(urls[4] ?? ''), 'log-missing');
  t.is(reasons.get(urls[5] ?? ''), 'controller-unreachable');
  t.is(reasons.get(urls[6] ?? ''), 'url-insecure');
  t.is(reasons.size, 4);
});

test('who knows only a nodes.json pins the mixnet at first use, says so, and takes no other after it', async (t) => {
  const url = `${await serving(t, first.nodes)}nodes.json`;
  const kept = memory();
  t.like(await getDirectory({ ...common, urls: [url], memory: kept }), { trust: 'first-use' });
  t.like(kept.seen, { mixnetId, number: 1 });
  t.like(await getDirectory({ ...common, urls: [url], memory: kept }), { trust: 'pinned' });
  const other = `${await serving(t, paperMixnet().nodes)}other.json`;
  const error = await t.throwsAsync(getDirectory({ ...common, urls: [other], memory: kept }));
  t.regex(error.message, /mixnet-mismatch/);
  t.like(kept.seen, { mixnetId, number: 1 });
});

test('a program that remembers is not led back, and one that has expired is none', async (t) => {
  const url = peerUrl(await serving(t, first.nodes));
  const kept = memory({ mixnetId, number: 2, snapshotHash: 'b'.repeat(64) });
  const old = await t.throwsAsync(getDirectory({ ...common, urls: [url], memory: kept }));
  t.regex(old.message, /snapshot-rolled-back/);
  const twin = memory({ mixnetId, number: 1, snapshotHash: 'b'.repeat(64) });
  const other = await t.throwsAsync(getDirectory({ ...common, urls: [url], memory: twin }));
  t.regex(other.message, /snapshot-equivocated/);
  const late = await t.throwsAsync(getDirectory({ ...common, now: afterItsLife, urls: [url] }));
  t.regex(late.message, /directory-expired/);
});

function afterItsLife(): number {
  return NOW_MS + LIFETIME_MS;
}

test('two directories of one number are a reason to stop', async (t) => {
  const [left, right] = await Promise.all(
    [later(2), later(2, owners.slice(1))].map((body) => serving(t, body)),
  );
  const urls = [left ?? '', right ?? ''].map(peerUrl);
  await t.throwsAsync(getDirectory({ ...common, urls }), { code: 'mixnet-unverified' });
});

test('URLs of different mixnets are not mixed up', async (t) => {
  const one = `http://127.0.0.1:9/panoramix/peers/${mixnetId}/`;
  const two = `http://127.0.0.1:9/panoramix/peers/${'a'.repeat(64)}/`;
  await t.throwsAsync(getDirectory({ ...common, urls: [one, two] }), { code: 'config-invalid' });
});
