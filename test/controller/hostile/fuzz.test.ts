import test from 'ava';
import fc from 'fast-check';
import { parseStrict } from '../../../src/api/canonical.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { endpointOf, openEndpoint, privateController, sharedStore } from '../private-controller.ts';

const store = sharedStore(test);
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 150);

const doors = [
  ['POST', 'negotiations', 'negotiation', 'create'],
  ['POST', 'contributions', 'contribution', 'create'],
  ['POST', 'peers', 'peer', 'create'],
  ['PATCH', 'peers/x', 'peer', 'partial_update'],
  ['POST', 'endpoints', 'endpoint', 'create'],
  ['PATCH', 'endpoint/ep', 'endpoint', 'partial_update'],
  ['POST', 'messages', 'message', 'create'],
] as const;

const json = fc
  .jsonValue({ maxDepth: 4, stringUnit: 'binary' })
  .filter((value) => parseStrict(JSON.stringify(value)).ok);
const field = fc.oneof(
  json,
  fc.constantFrom(
    'ep',
    'x',
    'INBOX',
    'OPEN',
    'CLOSED',
    '',
    0,
    -1,
    1e9,
    null,
    [],
    {},
    'a'.repeat(64),
  ),
);
const names =
  'negotiation_id text signature key_id key_data key_type owners name status peer_id endpoint_id ' +
  'endpoint_type size_max box sender recipient serial log snapshot last_message_id message_hashes ' +
  'toString';
const data = fc.oneof(json, fc.dictionary(fc.constantFrom(...names.split(' ')), field));
const consensus = fc.option(
  fc.record({
    consensus_id: fc.constant('a'.repeat(64)),
    consensus_type: fc.constant('structural'),
  }),
  { nil: undefined },
);

test('no signed request, whatever it holds, is answered with a bug', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  await openEndpoint(owner, endpointOf(owner.identity.peerId, 'ep'));
  const identity = createIdentity(native);
  const property = fc.asyncProperty(
    fc.constantFrom(...doors),
    data,
    consensus,
    async ([method, path, resource, operation], given, by) => {
      const body = {
        data: given,
        info: { resource, operation },
        ...(by && { by_consensus: by as never }),
      };
      const answer = await bed.send(method, `/panoramix/${path}`, identity, body);
      return answer.status < 500 && answer.reason !== 'unexpected';
    },
  );
  await t.notThrowsAsync(fc.assert(property, { numRuns: RUNS }));
});

test('no address, whatever it holds, is answered with a bug', async (t) => {
  const bed = await privateController(t, store());
  const part = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('%', '%00', '..', '::', '*', 'a'.repeat(64), '-1', '1e400', 'INBOX'),
  );
  const path = fc.constantFrom(
    'negotiations/',
    'peers/',
    'endpoints/',
    'endpoint/',
    '',
    'peers?',
    'messages?',
  );
  const query = fc.dictionary(
    fc.constantFrom(
      'endpoint_id',
      'box',
      'after',
      'limit',
      'up_to',
      'negotiation',
      'owners',
      'status',
    ),
    part,
  );
  const method = fc.constantFrom('GET', 'DELETE', 'HEAD', 'OPTIONS', 'PUT');
  const property = fc.asyncProperty(method, path, part, query, async (how, base, name, of) => {
    const url = new URL(`${bed.url}panoramix/${base}${encodeURIComponent(name.toWellFormed())}`);
    for (const [key, value] of Object.entries(of)) url.searchParams.append(key, value);
    const answer = await bed.fetch(url.href, { method: how });
    return answer.status < 500;
  });
  await t.notThrowsAsync(fc.assert(property, { numRuns: RUNS }));
  t.is((await bed.fetch('/health')).status, 200);
});

test('no header, whatever it holds, is answered with a bug', async (t) => {
  const bed = await privateController(t, store());
  const value = fc.string({ maxLength: 200 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, '?'));
  const property = fc.asyncProperty(value, value, async (input, signature) => {
    const headers = { 'signature-input': input, signature };
    const answer = await bed.fetch('/panoramix/endpoints', { headers });
    const read = await bed.fetch('/panoramix/messages?endpoint_id=ep&box=INBOX', { headers });
    return answer.status < 500 && read.status < 500;
  });
  await t.notThrowsAsync(fc.assert(property, { numRuns: RUNS }));
});
