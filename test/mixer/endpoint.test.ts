import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { decodeEndpointParams } from '../../src/api/endpoint-params.ts';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import {
  ensureEndpoint,
  type EndpointOptions,
  type OwnEndpoint,
} from '../../src/mixer/endpoint.ts';
import {
  changeStatus,
  privateController,
  sharedStore,
  type PrivateController,
} from '../controller/private-controller.ts';

const redis = sharedStore(test);

function optionsOf(t: ExecutionContext, controller: PrivateController): EndpointOptions {
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const client = controller.client();
  return {
    client,
    identity: client.identity,
    primitives: native,
    dataDir,
    peerName: 'node',
    group: 'X25519',
    lifetimeMs: 86_400_000,
  };
}

function keyPath(options: EndpointOptions, endpoint: OwnEndpoint): string {
  return join(options.dataDir, 'endpoints', `${endpoint.endpointId}.json`);
}

test('a node opens one endpoint, shows its public key there, and uses it again', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const endpoint = await ensureEndpoint(options);
  const served = await options.client.getEndpoint(endpoint.endpointId);
  t.is(served?.status, 'OPEN');
  t.is(served?.peer_id, options.identity.peerId);
  const params = decodeEndpointParams(served?.endpoint_params ?? '');
  t.is(toHex(params?.publicKey as Uint8Array), toHex(endpoint.mixKey.publicKey));
  t.is(endpoint.storageKey.length, 32);

  const again = await ensureEndpoint(options);
  t.is(again.endpointId, endpoint.endpointId);
  t.is(toHex(again.mixKey.secret), toHex(endpoint.mixKey.secret));
  t.is(toHex(again.storageKey), toHex(endpoint.storageKey));
  t.is((await options.client.listEndpoints()).length, 1);
});

test('the keys lie in a file of mode 0600, and no print of the endpoint shows them', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const endpoint = await ensureEndpoint(options);
  const path = keyPath(options, endpoint);
  t.is(statSync(path).mode & 0o777, 0o600);
  const text = readFileSync(path, 'utf8');
  t.true(text.includes(toHex(endpoint.mixKey.secret)));
  t.is(inspect(endpoint).includes('mixKey'), false);
  t.false(JSON.stringify(endpoint).includes('Key'));
});

test('a key file that others may read stops the node until it is looked at', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const path = keyPath(options, await ensureEndpoint(options));
  chmodSync(path, 0o640);
  await t.throwsAsync(ensureEndpoint(options), { code: 'config-invalid', message: /0?640/ });
  chmodSync(path, 0o600);
  await t.notThrowsAsync(ensureEndpoint(options));
});

test('a node killed between its key file and its controller opens what the file says', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const failing = {
    ...options,
    client: Object.assign(controller.client(options.identity), {
      createEndpoint: () => Promise.reject(new Error('killed')),
    }),
  };
  await t.throwsAsync(ensureEndpoint(failing), { message: 'killed' });
  const [name] = readdirSync(join(options.dataDir, 'endpoints'));
  const endpoint = await ensureEndpoint(options);
  t.is(`${endpoint.endpointId}.json`, name as string);
  t.is((await options.client.getEndpoint(endpoint.endpointId))?.status, 'OPEN');
});

test('a closed endpoint is followed by another, with other keys; the old file stays as it is', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const first = await ensureEndpoint(options);
  const before = readFileSync(keyPath(options, first), 'utf8');
  const served = await options.client.getEndpoint(first.endpointId);
  await changeStatus(options.client, served as NonNullable<typeof served>, {
    endpoint_id: first.endpointId,
    status: 'CLOSED',
    last_message_id: 0,
  });
  const second = await ensureEndpoint(options);
  t.not(second.endpointId, first.endpointId);
  t.not(toHex(second.mixKey.secret), toHex(first.mixKey.secret));
  t.is(readFileSync(keyPath(options, first), 'utf8'), before);
});

test('an endpoint whose key has lived its time is not used again', async (t) => {
  const controller = await privateController(t, redis());
  const options = optionsOf(t, controller);
  const first = await ensureEndpoint(options);
  const second = await ensureEndpoint({ ...options, now: () => first.closesMs });
  t.not(second.endpointId, first.endpointId);
});
