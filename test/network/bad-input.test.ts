/** What hostile peers send into a mixnet of real processes: each has its named drop, and mail goes on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { concat, fromUtf8, toBase64url, toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import type { Directory, DirectoryNode } from '../../src/mixnet/directory.ts';
import { signEnvelope } from '../../src/mixnet/envelope.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { fragmentMail, prepareCover, prepareFragment } from '../../src/mixnet/prepare.ts';
import { readNodes } from '../../src/mixnet/verify-nodes.ts';
import { createSphinx, deliverRouting, relayRouting, type Sphinx } from '../../src/sphinx/index.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const PATIENCE_MS = 60_000;

let real: RealMixnet;
let directory: Directory;
let sphinx: Sphinx;

test.before(async () => {
  real = await startRealMixnet();
  const { nodeDataDir } = real.mixnet.gateway('alpha');
  const json: unknown = JSON.parse(readFileSync(join(nodeDataDir, 'directory.json'), 'utf8'));
  const read = readNodes(json, (json as { mixnet: string }).mixnet, native);
  if (!read.ok) throw new Error(read.reason);
  directory = read.directory;
  sphinx = createSphinx(directory.params, native);
});

test.after.always(async () => {
  await real?.stop();
});

test.serial(
  'packets that are malformed, replayed or lead nowhere are dropped by name, and mail crosses on',
  async (t) => {
    const mix = nodeAt('mix-1');
    const good = packetThrough('mix-1');
    const flipped = (at: number): Uint8Array => good.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const beyond = (delayMs: number, address: Uint8Array): Uint8Array => {
      const key = mix.endpoints[0]?.publicKey as Uint8Array;
      const hops = [
        { publicKey: key, routing: deliverRouting() },
        { publicKey: key, routing: relayRouting(address, delayMs) },
      ];
      return sphinx.build(hops, fromUtf8('cover'), new Uint8Array(10));
    };
    const address = nodeAt('mix-2').endpoints[0]?.address as Uint8Array;
    const lowOrder = concat(new Uint8Array(32), good.subarray(32));
    for (const text of [
      'not base64url !',
      'AAAA',
      toBase64url(good.subarray(1)),
      toBase64url(concat(good, new Uint8Array(1))),
      toBase64url(lowOrder),
      toBase64url(flipped(40)),
      toBase64url(flipped(320)),
      toBase64url(beyond(10, native.random(16))),
      toBase64url(beyond(4_000_000_000, address)),
      toBase64url(good),
      toBase64url(good),
    ]) {
      await postTo('mix-1', text);
    }
    await crosses('after-bad-packets');
    const counts = await stopAndCount('mix-1');
    t.like(counts, {
      'packet-length': 4,
      'point-invalid': 1,
      'mac-mismatch': 2,
      'unknown-next-hop': 1,
      'delay-too-long': 1,
      replayed: 1,
    });
  },
);

test.serial('a body that was changed on the way is dropped by its exit', async (t) => {
  const exit = nodeAt('beta');
  const key = exit.endpoints[0]?.publicKey as Uint8Array;
  const packet = sphinx.build(
    [{ publicKey: key, routing: deliverRouting() }],
    fromUtf8('cover'),
    new Uint8Array(10),
  );
  const last = packet.length - 1;
  packet[last] = (packet[last] as number) ^ 1;
  await postTo('beta', toBase64url(packet));
  await sleep(1_000);
  t.is((await stopAndCount('beta'))['body-mac-mismatch'], 1);
});

test.serial(
  'a mail for a domain that is not the exit’s is never delivered, and its log says why',
  async (t) => {
    const identity = readOrCreateIdentity(real.mixnet.gateway('alpha').nodeDataDir, native);
    const data = fromUtf8('Subject: stray\r\n\r\nstray\r\n');
    const envelope = {
      mixnet: directory.mixnetId,
      messageId: toHex(native.random(16)),
      exit: nodeAt('beta').peerId,
      gateway: identity.peerId,
      from: 'ada@alpha.example',
      recipients: [{ address: 'bob@elsewhere.example' }],
      body: '8BITMIME',
      smtputf8: false,
      bytes: data.length,
      sha256: toHex(native.sha256(data)),
      expiryMs: Date.now() + 3_600_000,
    } as const;
    const geometry = geometryOf(sphinx);
    for (const fragment of fragmentMail(
      envelope,
      signEnvelope(native, identity, envelope),
      data,
      geometry,
    )) {
      const query = {
        directory,
        entry: identity.peerId,
        exit: envelope.exit,
        nowMs: Date.now(),
      };
      const prepared = prepareFragment(sphinx, geometry, native.random, query, fragment);
      if (prepared.kind !== 'packet') throw new Error(prepared.reason);
      const first = real.mixnet.peers.find(
        (peer) => peer.controllerUrl === prepared.first.node.controllerUrl,
      );
      await postTo(first?.name ?? '', toBase64url(prepared.packet));
    }
    await until(
      'the exit says so',
      () => logOf('beta').includes('"recipients-foreign"'),
      PATIENCE_MS,
    );
    await crosses('after-the-stray');
    t.false(logOf('beta').includes('elsewhere.example'));
  },
);

test.serial(
  'Redis that does not answer: 451 within 30 s, and the mail crosses once it answers again',
  async (t) => {
    const pid = await real.redisPid('alpha');
    process.kill(pid, 'SIGSTOP');
    const startMs = Date.now();
    const [result] = await real
      .send('alpha', mailTo('stopped', 'STOP1'))
      .finally(() => process.kill(pid, 'SIGCONT'));
    t.is(result?.outcome, 'deferred');
    t.like(result?.reply, { code: 451 });
    t.true(Date.now() - startMs < 30_000);
    await crosses('after-the-stop');
  },
);

function nodeAt(name: string): DirectoryNode {
  const url = real.mixnet.peers.find((peer) => peer.name === name)?.controllerUrl;
  const node = directory.nodes.find((each) => each.controllerUrl === url);
  if (!node) throw new Error(`no node is called ${name}`);
  return node;
}

/** A cover packet of alpha's that goes through this mix first. */
function packetThrough(name: string): Uint8Array {
  for (;;) {
    const query = {
      directory,
      entry: nodeAt('alpha').peerId,
      exit: nodeAt('beta').peerId,
      nowMs: Date.now(),
    };
    const prepared = prepareCover(sphinx, geometryOf(sphinx), native.random, query);
    if (prepared.kind !== 'packet') throw new Error(prepared.reason);
    if (prepared.first.node.peerId === nodeAt(name).peerId) return prepared.packet;
  }
}

/** As alpha's node would, had it turned hostile. */
async function postTo(name: string, text: string): Promise<void> {
  const node = nodeAt(name);
  const identity = readOrCreateIdentity(real.mixnet.gateway('alpha').nodeDataDir, native);
  const client = new ControllerClient({ url: node.controllerUrl, identity, primitives: native });
  await client.postMessage({
    endpointId: node.endpoints[0]?.endpointId as string,
    recipient: node.peerId,
    text,
    serial: toHex(native.random(16)),
  });
}

function mailTo(user: string, queueId: string) {
  const data = fromUtf8(`X-PANORAMIX-Mixable: yes\r\nSubject: ${user}\r\n\r\n${user}\r\n`);
  return { from: 'ada@alpha.example', to: [`${user}@beta.example`], data, queueId };
}

async function crosses(user: string): Promise<void> {
  await real.submit('alpha', mailTo(user, `BAD${user}`));
  await until(
    `the mail ${user} arrives`,
    () => real.arrived().some(({ recipients }) => recipients.includes(`${user}@beta.example`)),
    PATIENCE_MS,
  );
}

/** What a node counted since its start; it is stopped for that, and started again. */
async function stopAndCount(name: string): Promise<Record<string, number>> {
  const program = real.mixnet.nodes.find((node) => node.name === name);
  await program?.stop();
  const line = logOf(name)
    .trimEnd()
    .split('\n')
    .findLast((each) => each.includes('"counts"'));
  program?.start();
  return (JSON.parse(line ?? '{}') as { counts: Record<string, number> }).counts;
}

function logOf(name: string): string {
  return readFileSync(real.mixnet.logOf(name), 'utf8');
}
