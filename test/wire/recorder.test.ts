import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { Recorder } from './recorder.ts';

const ENDPOINT = { endpointId: 'mix_1', recipient: 'a'.repeat(64), serial: 'b'.repeat(32) };

test('it passes everything on unchanged, and writes down who asked what, how long, how often', async (t) => {
  const got: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got.push(Buffer.concat(chunks).toString());
      response.writeHead(201, { 'content-type': 'application/json' }).end('{"data":{}}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const recorder = new Recorder();
  t.teardown(async () => {
    await recorder.close();
    server.close();
  });
  const [port] = (await freePorts(1)) as [number];
  await recorder.listen('mix-1', port, (server.address() as AddressInfo).port);
  const identity = createIdentity(native);
  const client = new ControllerClient({
    url: `http://127.0.0.1:${port}`,
    identity,
    primitives: native,
  });
  const text = 'x'.repeat(40_000);
  for (let i = 0; i < 3; i++) await client.postMessage({ ...ENDPOINT, text });
  t.is(got.length, 3);
  t.is((JSON.parse(got[0] as string) as { data: { text: string } }).data.text, text);
  const [first] = recorder.exchanges;
  t.is(recorder.exchanges.length, 3);
  t.like(first, { by: identity.peerId, to: 'mix-1', what: 'POST /panoramix/messages' });
  t.true((first?.bytes ?? 0) > 40_000 && (first?.answerBytes ?? 0) > 10);
  t.is(new Set(recorder.exchanges.map(({ bytes }) => bytes)).size, 1);
  t.deepEqual(recorder.unread, []);

  recorder.tamper = (_, repeat) => repeat();
  await client.postMessage({ ...ENDPOINT, text });
  await t.notThrowsAsync(async () => {
    for (let i = 0; got.length < 5; i++) {
      if (i > 100) throw new Error('the repeat did not come');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  t.is(got[3], got[4]);
  t.is(recorder.exchanges.length, 5);
});
