/** Steps on the ways to a mail server and to a controller: what is held there, who then knows what, and who is who. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { OutgoingMail } from '../../filters/smtp-client.ts';
import { Submitter } from '../../filters/submit.ts';
import { fromUtf8 } from '../../src/bytes.ts';
import { Arrivals } from '../../src/cli/demo/arrivals.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { startReceiver } from '../../src/cli/demo/receiver.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  endpointOf,
  openEndpoint,
  privateController,
  serial,
  sharedStore,
} from '../controller/private-controller.ts';
import { stepOf } from './proxied-store.ts';
import { openProxy, Watcher } from './proxies.ts';
import type { Hit, Link, Moment } from './step.ts';

const store = sharedStore(test);
const WAIT_MS = 20_000;
const MAIL: OutgoingMail = {
  sender: 'ada@alpha.example',
  recipients: [{ address: 'bob@beta.example' }],
  body: '8BITMIME',
  smtputf8: false,
  data: fromUtf8('Subject: x\r\n\r\n.\r\n..\r\nlast\r\n'),
};

for (const [moment, arrived] of [
  ['before', 0],
  ['after', 1],
] as const) {
  test(`a delivery that is held ${moment} its end has ${arrived === 0 ? 'not ' : ''}happened`, async (t) => {
    const { submitter, arrivals, watch } = await postfixOf(t);
    const armed = arm(watch, 'gateway: a mail is delivered', moment);
    const sent = submitter.send(MAIL);
    const hit = await armed;
    t.like(hit, { program: 'beta', other: 'beta.postfix' });
    t.is(arrivals.take().length, arrived);
    hit.drop();
    t.is((await sent)[0]?.outcome, 'deferred', 'who gave it does not know');
    t.is(arrivals.take().length, 0);
    t.is((await submitter.send(MAIL))[0]?.outcome, 'accepted');
    t.deepEqual(
      arrivals.take().map(({ data }) => Buffer.from(data)),
      [Buffer.from(MAIL.data)],
    );
    t.deepEqual(watch.strange, []);
  });
}

test('a delivery that was held passes unchanged', async (t) => {
  const { submitter, arrivals, watch } = await postfixOf(t);
  for (const moment of ['before', 'after'] as const) {
    const armed = arm(watch, 'gateway: a mail is delivered', moment);
    const sent = submitter.send(MAIL);
    (await armed).pass();
    t.is((await sent)[0]?.outcome, 'accepted');
    t.deepEqual(
      arrivals.take().map(({ data }) => Buffer.from(data)),
      [Buffer.from(MAIL.data)],
    );
  }
});

test('where no server listens, who connects is broken off', async (t) => {
  const { submitter } = await postfixOf(t, { isAway: true });
  t.is((await submitter.send(MAIL))[0]?.outcome, 'deferred');
});

for (const [moment, stored] of [
  ['before', 0],
  ['after', 1],
] as const) {
  test(`a packet whose post is held ${moment} is ${stored === 0 ? 'not ' : ''}stored, and known by its poster`, async (t) => {
    const { watch, owner, poster, endpointId } = await controllers(t);
    const message = { endpointId, recipient: owner.peerId, text: 'text', serial: serial() };
    const armed = arm(watch, 'gateway: a packet is posted', moment);
    const posted = poster.client.postMessage(message);
    const hit = await armed;
    t.like(hit, { program: 'alpha', other: 'beta.controller' });
    const inbox = { endpointId, box: 'INBOX' } as const;
    t.is((await owner.client.listMessages(inbox)).length, stored);
    hit.drop();
    await t.throwsAsync(posted, { code: 'controller-unreachable' });
    await poster.client.postMessage(message);
    t.is((await owner.client.listMessages(inbox)).length, 1, 'the same again is stored once');
    t.deepEqual(watch.strange, []);
  });
}

async function arm(watch: Watcher, name: string, moment: Moment): Promise<Hit> {
  const hit = await watch.arm({ step: stepOf(name), moment }, AbortSignal.timeout(WAIT_MS));
  if (hit === null) throw new Error(`${name} never came by`);
  return hit;
}

/** What stands for beta's Postfix, behind a proxy. */
async function postfixOf(
  t: ExecutionContext,
  { isAway = false } = {},
): Promise<{ submitter: Submitter; arrivals: Arrivals; watch: Watcher }> {
  const [listenPort, serverPort] = (await freePorts(2)) as [number, number];
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-crash-'));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  if (!isAway) {
    const receiver = await startReceiver(serverPort, folder);
    t.teardown(() => new Promise<void>((done) => receiver.close(done)));
  }
  const watch = new Watcher();
  await proxyOf(t, watch, {
    name: 'beta exit',
    protocol: 'smtp',
    service: 'exit',
    client: 'beta',
    server: 'beta.postfix',
    listenPort,
    serverPort,
  });
  const submitter = new Submitter({
    server: { host: '127.0.0.1', port: listenPort },
    hostname: 'beta.example',
  });
  t.teardown(async () => await submitter.close());
  return { submitter, arrivals: new Arrivals(folder), watch };
}

interface Node {
  readonly peerId: string;
  readonly client: ControllerClient;
}

/** Two gateways, each with a controller behind a proxy; alpha posts to beta. */
async function controllers(
  t: ExecutionContext,
): Promise<{ watch: Watcher; owner: Node; poster: Node; endpointId: string }> {
  const watch = new Watcher();
  const endpointId = 'one';
  const [alpha, beta] = [createIdentity(native), createIdentity(native)];
  const urls: { url: string; address: string }[] = [];
  for (const [name, identity] of [
    ['alpha', alpha],
    ['beta', beta],
  ] as const) {
    const controller = await privateController(t, store());
    controller.nodes.add(alpha.peerId).add(beta.peerId);
    const own = controller.client(identity);
    await own.registerPeer(name);
    await openEndpoint(own, { ...endpointOf(identity.peerId, endpointId), senders: 'nodes' });
    const [listenPort = 0] = await freePorts(1);
    const server = `${name}.controller`;
    const serverPort = Number(new URL(controller.url).port);
    await proxyOf(t, watch, {
      name: server,
      protocol: 'http',
      client: null,
      server,
      listenPort,
      serverPort,
    });
    const at = { url: controller.url, address: `http://127.0.0.1:${listenPort}/` };
    urls.push(at);
    const client = new ControllerClient({ ...at, identity, primitives: native });
    await client.listMessages({ endpointId, box: 'INBOX' });
  }
  const at = urls[1] as { url: string; address: string };
  const node = (identity: typeof alpha): Node => {
    return {
      peerId: identity.peerId,
      client: new ControllerClient({ ...at, identity, primitives: native }),
    };
  };
  return { watch, owner: node(beta), poster: node(alpha), endpointId };
}

async function proxyOf(t: ExecutionContext, watch: Watcher, link: Link): Promise<void> {
  const proxy = await openProxy(link, watch);
  t.teardown(async () => await proxy.close());
}
