import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PeelPool } from '../../src/mixer/peel-pool.ts';
import { createSphinx, relayRouting, type PeeledHeader } from '../../src/sphinx/index.ts';

const params = { group: 'X25519', headerLen: 320, bodyLen: 2048 } as const;
const sphinx = createSphinx(params, native);
const secrets = [native.random(32), native.random(32)] as const;
const hops = secrets.map((secret, i) => ({
  publicKey: native.group('X25519').publicKey(secret),
  routing: relayRouting(new Uint8Array(16).fill(i), 70),
}));
const dest = new Uint8Array([1]);
const message = new Uint8Array([2, 3]);

test('threads peel what the calling one would, in order, and name what they drop', async (t) => {
  const pool = new PeelPool(2);
  t.teardown(async () => await pool.close());
  const packet = sphinx.build(hops, dest, message);
  const bad = packet.with(100, (packet[100] as number) ^ 1);
  const [secret, exitSecret] = secrets;
  const headers = await pool.peelHeaders({ params, secret, packets: [bad, packet, dest] });
  t.deepEqual(headers[0], { kind: 'drop', reason: 'mac-mismatch' });
  t.deepEqual(headers[2], { kind: 'drop', reason: 'packet-length' });
  const [relay] = await pool.peelPayloads({ params, headers: [headers[1] as PeeledHeader] });
  if (relay?.kind !== 'relay') throw new Error('no relay');
  t.is(relay.delayMs, 70);
  t.deepEqual(relay.next, new Uint8Array(16).fill(1));

  const last = await pool.peelHeaders({ params, secret: exitSecret, packets: [relay.packet] });
  const [payload] = await pool.peelPayloads({ params, headers: last as PeeledHeader[] });
  t.deepEqual(payload, { kind: 'payload', dest, message });
});
