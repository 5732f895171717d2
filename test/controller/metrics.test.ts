import { request } from 'node:http';
import test from 'ava';
import { type PrivateController, privateController, sharedStore } from './private-controller.ts';

const store = sharedStore(test);

interface Read {
  readonly status: number | undefined;
  readonly text: string;
}

async function metrics(
  bed: PrivateController,
  headers: Record<string, string> = {},
): Promise<Read> {
  return await new Promise((resolve, reject) => {
    const asked = request(new URL('/metrics', bed.url), { headers }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += String(part)));
      answer.once('end', () => resolve({ status: answer.statusCode, text }));
    });
    asked.once('error', reject);
    asked.end();
  });
}

test('metrics count requests and refusals by name, and name nobody', async (t) => {
  const bed = await privateController(t, store());
  const peer = await bed.peer();
  await bed.fetch(`/panoramix/peers/${peer.identity.peerId}`);
  await bed.fetch(`/panoramix/peers/${'4'.repeat(64)}`);
  await bed.fetch('/panoramix/secret-thing', { method: 'PURGE' });
  const { status, text } = await metrics(bed);
  t.is(status, 200);
  const has = (line: string): boolean => t.true(text.split('\n').includes(line), line);
  const requests = 'panoramix_controller_requests_total';
  has(`${requests}{method="POST",resource="peers",status="201"} 1`);
  has(`${requests}{method="GET",resource="peers",status="200"} 1`);
  has(`${requests}{method="GET",resource="peers",status="404"} 2`);
  has('panoramix_controller_refusals_total{reason="peer-unknown"} 2');
  has('panoramix_controller_storage_pressure 0');
  t.regex(text, /panoramix_controller_request_seconds_bucket\{.*resource="negotiations"/);
  t.regex(text, /process_cpu_seconds_total/);
  for (const secret of [peer.identity.peerId, '4444', 'secret', 'PURGE']) {
    t.false(text.includes(secret), secret);
  }
});

test('metrics are for this host: not for who comes through a proxy, or by another name', async (t) => {
  const bed = await privateController(t, store());
  for (const headers of [
    { 'X-Forwarded-For': '192.0.2.1' },
    { Forwarded: 'for=192.0.2.1' },
    { Via: '1.1 proxy' },
    { Host: 'controller.example' },
    { Host: '127.example' },
  ]) {
    const { status, text } = await metrics(bed, headers);
    t.is(status, 404, JSON.stringify(headers));
    t.regex(text, /path-unknown/);
  }
  t.is((await metrics(bed, { Host: 'localhost:1' })).status, 200);
  t.is((await metrics(bed, { Host: '[::1]:1' })).status, 200);
});

test('two controllers of one process count apart', async (t) => {
  const [one, two] = [await privateController(t, store()), await privateController(t, store())];
  await one.fetch('/panoramix/peers');
  t.true((await metrics(one)).text.includes('requests_total{method="GET",resource="peers"'));
  t.false((await metrics(two)).text.includes('requests_total{method="GET",resource="peers"'));
});
