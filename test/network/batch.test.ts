/**
 * The scenario of D4.2 §3.4 with real programs: negotiation, combined peer, endpoint, five messages in,
 * agreed closing, mixing by each, agreed result, five out. Then the same with kill -9 in the middle.
 */
import test from 'ava';
import { fromUtf8, toUtf8 } from '../../src/bytes.ts';
import { BatchClient, type BatchResult } from '../../src/client/batch-mixnet.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { RealBatch } from './real-batch.ts';
import { until } from './real-mixnet.ts';

const CYCLE_MS_MAX = 90_000;

test.serial(
  'five messages go in and come out, by owners who know a URL and an invitation',
  async (t) => {
    const batch = await RealBatch.start({
      endpoint: { name: 'gateway', size_min: 5, size_max: 10, description: 'the mix-net gateway' },
      lingerMs: 600_000,
    });
    t.teardown(() => batch.stop());
    const client = new BatchClient({ mixnetUrl: batch.mixnetUrl, primitives: portable });
    const mixnet = await client.init();
    t.is(mixnet.owners.length, 3);
    t.deepEqual(mixnet.sphinxParams, { group: 'P-224', headerLen: 192, bodyLen: 1024 });
    t.deepEqual(mixnet.terms, {
      peer_id: mixnet.mixnetId,
      endpoint_id: 'gateway_1',
      endpoint_type: 'SPHINXMIX_GATEWAY',
      endpoint_params: mixnet.terms.endpoint_params,
      description: 'the mix-net gateway',
      status: 'OPEN',
      size_min: 5,
      size_max: 10,
      public: true,
      senders: 'anyone',
    });
    const sent = ['Hello world', 'two', 'three', 'four', 'five'];
    for (const message of sent) await client.send(mixnet, { message: fromUtf8(message) });
    const result = await resultAfter(client, null);
    t.deepEqual(textsOf(result).toSorted(), sent.toSorted());

    // What happened stands in the controller, for everybody: each step signed by all three.
    const anybody = new ControllerClient({
      url: batch.url,
      identity: createIdentity(native),
      primitives: native,
    });
    const gateway = await anybody.getEndpoint('gateway_1');
    t.deepEqual(
      gateway?.consensus_logs.map((line) => line.status),
      ['OPEN', 'CLOSED', 'PROCESSED'],
    );
    for (const { consensus_id: id } of gateway?.consensus_logs ?? []) {
      const record = await anybody.getNegotiation(id);
      t.deepEqual(
        record?.signings.map((one) => one.signer_key_id),
        [...mixnet.owners],
      );
    }
    for (const [place, link] of mixnet.links.entries()) {
      const endpoint = await anybody.getEndpoint(link.endpointId);
      t.is(endpoint?.status, 'PROCESSED', `link ${place}`);
      t.is(endpoint?.peer_id, mixnet.owners[place]);
    }
  },
);

test.serial(
  'kill -9 of controller, of its Redis and of the coordinator: each cycle completes with all messages',
  async (t) => {
    const batch = await RealBatch.start({
      endpoint: { size_min: 5, size_max: 5 },
      lingerMs: 3_000,
    });
    t.teardown(() => batch.stop());
    const [coordinator] = batch.owners as [RealBatch['controller']];
    const client = new BatchClient({ mixnetUrl: batch.mixnetUrl, primitives: native });
    const mixnet = await client.init();
    // Moments of a cycle, by what some owner has logged last.
    const moments = ['inbox-fills', 'gateway-close', 'link-collected', 'processbox-collected'];
    let last: string | null = null;
    for (const [cycle, moment] of moments.entries()) {
      const sent = Array.from({ length: 5 }, (_, index) => `cycle ${cycle}, message ${index}`);
      const heard = (): number =>
        batch.owners.reduce((sum, owner) => sum + batch.countOf(owner, moment), 0);
      await until('the gateway is open', () => isOpen(client), CYCLE_MS_MAX);
      const before = moment === 'inbox-fills' ? -1 : heard();
      for (const message of sent) await client.send(mixnet, { message: fromUtf8(message) });
      await until(moment, () => heard() > before, CYCLE_MS_MAX);
      await Promise.all([coordinator.kill(), batch.controller.kill()]);
      await batch.killControllerStore();
      batch.controller.start();
      coordinator.start();
      await batch.controllerAnswers();
      const result = await resultAfter(client, last);
      t.deepEqual(textsOf(result).toSorted(), sent, moment);
      last = result.cycleId;
    }
    const reasons = batch.owners.flatMap((owner) =>
      batch.logOf(owner).filter((line) => line['event'] === 'cycle-refused'),
    );
    t.deepEqual(reasons, []);
  },
);

/** The first result after another one; where everything is away for a while, it is asked again. */
async function resultAfter(client: BatchClient, last: string | null): Promise<BatchResult> {
  let result: BatchResult | null = null;
  await until(
    'the cycle ends',
    async () => {
      result = await client
        .init()
        .then((mixnet) => client.read(mixnet))
        .catch(() => null);
      return result !== null && result.cycleId !== last;
    },
    CYCLE_MS_MAX,
  );
  return result as unknown as BatchResult;
}

async function isOpen(client: BatchClient): Promise<boolean> {
  const mixnet = await client.init();
  return (await client.statusOf(mixnet)) === 'OPEN';
}

function textsOf(result: BatchResult): string[] {
  return result.messages.map(({ message }) => toUtf8(message));
}
