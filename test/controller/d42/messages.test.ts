/** D4.2 §6.5: each example, with real keys and signatures in its placeholders. */
import { createHash } from 'node:crypto';
import test from 'ava';
import { canonicalText } from '../../../src/api/canonical.ts';
import { signRead } from '../../../src/api/http-signature.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { openGateway } from '../batch-party.ts';
import { type PrivateController, privateController, sharedStore } from '../private-controller.ts';
import { type Answer, dataOf, send } from './example.ts';

const store = sharedStore(test);
const info = { operation: 'create', resource: 'message' };
const NAME = 'gateway_1';

/** Reads a box as one who may. */
async function list(
  bed: PrivateController,
  reader: Identity,
  box: string,
  path = '/messages',
): Promise<Answer> {
  const target = {
    method: 'GET',
    path: `/panoramix${path}`,
    query: `?box=${box}&endpoint_id=${NAME}`,
  };
  const context = { nowMs: bed.now(), catalogUrl: bed.url };
  const { signatureInput, signature } = signRead(native, reader, target, context);
  const headers = { 'signature-input': signatureInput, signature };
  const { status, body } = await bed.fetch(`${target.path}${target.query}`, { headers });
  return { status, body };
}

/** Design §7: SHA-256 over the six fields; D4.2's messages have no serial, which is then empty. */
function hashOf(message: object): string {
  return createHash('sha256')
    .update(canonicalText({ ...message, serial: '' }))
    .digest('hex');
}

for (const path of ['/messages', '/messages/']) {
  test(`§6.5.1 POST ${path}: send a message to inbox and processbox, without a consensus`, async (t) => {
    const bed = await privateController(t, store());
    const gateway = await openGateway(bed, 2, { size_min: 1 });
    const correspondent = await bed.peer();
    const data = {
      endpoint_id: NAME,
      box: 'INBOX',
      sender: correspondent.identity.peerId,
      recipient: gateway.peerId,
      text: 'encrypted message',
    };
    const answer = await send(bed, `POST ${path}`, correspondent.identity, { data, info });
    t.is(answer.status, 201);
    // No id, which would tell the order of arrival to whom posts (design §7).
    const receipt = { endpoint_id: NAME, box: 'INBOX', message_hash: hashOf(data) };
    t.deepEqual(answer.body, { data: receipt });

    await gateway.change({ status: 'CLOSED', message_hashes: [hashOf(data)] });
    const result = {
      endpoint_id: NAME,
      box: 'PROCESSBOX',
      sender: gateway.peerId,
      recipient: correspondent.identity.peerId,
      text: 'decrypted message',
    };
    const { identity } = gateway.first;
    const processed = await send(bed, `POST ${path}`, identity, { data: result, info });
    t.is(processed.status, 201);
    t.is(dataOf(processed)['message_hash'], hashOf(result));
  });

  test(`§6.5.2 GET ${path}: list the messages of an inbox, and of an outbox`, async (t) => {
    const bed = await privateController(t, store());
    const gateway = await openGateway(bed, 2, { size_min: 2 });
    const owner = gateway.first.identity;
    const senders = [await bed.peer(), await bed.peer()];
    const inbox = senders.map(({ identity }, index) => ({
      endpoint_id: NAME,
      box: 'INBOX',
      sender: identity.peerId,
      recipient: gateway.peerId,
      text: `encrypted message ${index + 1}`,
    }));
    for (const [index, data] of inbox.entries()) {
      await send(bed, 'POST /messages', senders[index]!.identity, { data, info });
    }
    t.deepEqual(await list(bed, owner, 'INBOX', path), {
      status: 200,
      body: inbox.map((message, index) => ({
        data: { ...message, id: index + 1, serial: '', message_hash: hashOf(message) },
      })),
    });

    const accepted = inbox.map(hashOf).toSorted();
    await gateway.change({ status: 'CLOSED', message_hashes: accepted });
    t.deepEqual(await list(bed, owner, 'INBOX', path), { status: 200, body: [] });
    t.deepEqual(await list(bed, owner, 'ACCEPTED', path), {
      status: 200,
      body: inbox.map((message, index) => ({
        data: {
          ...message,
          box: 'ACCEPTED',
          id: index + 1,
          serial: '',
          message_hash: hashOf(message),
        },
      })),
    });

    const results = senders.map(({ identity }, index) => ({
      endpoint_id: NAME,
      box: 'PROCESSBOX',
      sender: gateway.peerId,
      recipient: identity.peerId,
      text: `decrypted message ${'ab'.charAt(index)}`,
    }));
    for (const data of results) await send(bed, 'POST /messages', owner, { data, info });
    const published = results.map(hashOf).toSorted();
    await gateway.change({ status: 'PROCESSED', message_hashes: published });
    t.deepEqual(await list(bed, owner, 'PROCESSBOX', path), { status: 200, body: [] });
    t.deepEqual(await list(bed, owner, 'OUTBOX', path), {
      status: 200,
      body: results.map((message, index) => ({
        data: {
          ...message,
          box: 'OUTBOX',
          id: index + 3,
          serial: '',
          message_hash: hashOf(message),
        },
      })),
    });
  });
}
