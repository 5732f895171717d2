import { readFileSync } from 'node:fs';
import test from 'ava';
import { OPENAPI_FILE } from '../../controller/openapi.ts';
import { OPERATIONS } from '../../src/api/operations.ts';
import { openApiDocument } from '../../src/api/openapi.ts';
import { endpointOf, openEndpoint, privateController, sharedStore } from './private-controller.ts';

const store = sharedStore(test);

interface Described {
  readonly parameters?: readonly { readonly name: string; readonly required: boolean }[];
  readonly requestBody?: { content: { 'application/json': { schema: { required: string[] } } } };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
type Document = { paths: Record<string, Record<string, Described>> };

test('the document that is written beside the controller is the one that the schemas give', (t) => {
  const written: unknown = JSON.parse(readFileSync(OPENAPI_FILE, 'utf8'));
  t.deepEqual(
    written,
    JSON.parse(JSON.stringify(openApiDocument())),
    'node controller/openapi.ts && prettier --write controller/openapi.json',
  );
});

test('the controller serves it, to anybody', async (t) => {
  const bed = await privateController(t, store());
  for (const path of ['/panoramix/openapi.json', '/panoramix/openapi.json/', '/openapi.json']) {
    const answer = await bed.fetch(path);
    t.is(answer.status, 200);
    t.regex(answer.headers.get('content-type') ?? '', /^application\/json/);
    t.deepEqual(answer.body, JSON.parse(JSON.stringify(openApiDocument())));
  }
});

for (const { method, path: named, also = [] } of OPERATIONS) {
  for (const path of [named, ...also]) {
    test(`${method} ${path} is answered as it is described, with and without a slash`, async (t) => {
      const bed = await privateController(t, store());
      const owner = await bed.peer();
      await openEndpoint(owner, endpointOf(owner.identity.peerId, 'ep'));
      const described = (openApiDocument() as unknown as Document).paths[path]?.[method];
      for (const id of ['ep', owner.identity.peerId]) {
        for (const slash of ['', '/']) {
          const url = path.replace('{id}', id) + slash;
          for (const query of ['', '?x=1', '?endpoint_id=ep&box=INBOX&up_to=1']) {
            const body = method === 'post' || method === 'patch' ? { body: '{"meta":{}}' } : {};
            const init = { method: method.toUpperCase(), ...body };
            const answer = await bed.fetch(url + query, init);
            t.not(answer.reason, 'path-unknown', url);
            t.not(answer.reason, 'method-refused', url);
            const response = described?.responses[String(answer.status)];
            t.truthy(response, `${answer.status} is not described`);
            if (answer.reason !== null) {
              t.true(response?.description.split(', ').includes(answer.reason), answer.reason);
            }
          }
        }
      }
    });
  }
}

test('a change by consensus needs its four parts, a message three, and a list its query', (t) => {
  const { paths } = openApiDocument() as unknown as Document;
  const parts = (path: string, method: string) =>
    paths[path]?.[method]?.requestBody?.content['application/json'].schema.required;
  t.deepEqual(parts('/panoramix/endpoint/{id}', 'patch'), ['data', 'info', 'by_consensus', 'meta']);
  t.deepEqual(parts('/panoramix/messages', 'post'), ['data', 'info', 'meta']);
  const query = paths['/panoramix/messages']?.['get']?.parameters ?? [];
  t.deepEqual(
    query.filter(({ required }) => required).map(({ name }) => name),
    ['endpoint_id', 'box'],
  );
});
