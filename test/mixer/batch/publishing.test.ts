/** The word that an owner gives of a result shows its dummies; from then on that result alone is signed. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fromUtf8 } from '../../../src/bytes.ts';
import { BatchClient } from '../../../src/client/batch-mixnet.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import { native } from '../../../src/crypto/native.ts';
import { PanoramixError } from '../../../src/errors.ts';
import { readCycle } from '../../../src/mixer/batch/cycle.ts';
import { Publishing } from '../../../src/mixer/batch/publishing.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { D42_PARAMS, foundTogether, type Owner } from './owners.ts';

const store = sharedStore(test);
const params = { ...D42_PARAMS, GROUP: 'X25519' as const };

/** Of an owner who dies whenever it would say something of a result. */
class SilentClient extends ControllerClient {
  override contribute(
    ...[id, text]: Parameters<ControllerClient['contribute']>
  ): ReturnType<ControllerClient['contribute']> {
    const isOfGateway = text.includes('"endpoint_id":"gateway_1"');
    const isResult = isOfGateway && text.includes('"status":"PROCESSED"');
    if (!isResult) return super.contribute(id, text);
    return Promise.reject(new PanoramixError('config-invalid', 'silent'));
  }
}

test('an owner signs no other result than the one that it gave its word of', async (t) => {
  const controller = await privateController(t, store());
  const together = await foundTogether(t, controller.url, store(), {
    params,
    count: 1,
    gateway: { sizeMin: 2 },
  });
  const [owner] = together.owners as [Owner];
  const { options, identity } = owner;
  const { client } = options;
  const silent = new SilentClient({ url: controller.url, identity, primitives: native });
  Object.assign(options, { client: silent });
  const { mixnetId, mixnetUrl } = together.mixnet;
  const sender = new BatchClient({ mixnetUrl, primitives: native });
  const mixnet = await sender.init();
  for (const message of ['one', 'two']) await sender.send(mixnet, { message: fromUtf8(message) });
  const node = owner.node();
  node.start();
  for (const endMs = Date.now() + 30_000; Date.now() < endMs; await sleep(20)) {
    if (owner.lines.some((line) => line['event'] === 'processbox-collected')) break;
  }
  await node.stop();
  Object.assign(options, { client });
  const batch = owner.state.read()?.batch;
  t.is(batch?.step, 'publish');
  const cycle = await readCycle(options, mixnetId, batch as NonNullable<typeof batch>);
  const publishing = new Publishing(options, cycle, () => sleep(20));
  await publishing.mix();
  const step = publishing.step({});
  await step.look();
  const word = step.word(new Map()) as { message_hashes: string[] };
  t.is(word.message_hashes.length, 2);
  const said = new Map([[identity.peerId, word]]);
  t.is(step.review(word, said, word), null);
  t.deepEqual(step.compose(said), word);
  const other = { ...word, message_hashes: ['ab'.repeat(32), 'cd'.repeat(32)] };
  const saidOther = new Map([[identity.peerId, other]]);
  t.is(step.review(word, saidOther, other), 'result-differs');
  t.is(step.review(word, new Map(), undefined), 'result-differs');
  t.throws(() => step.compose(saidOther), { message: /result-differs/ });
});
