import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { bytes, cases, packetHex } from './vectors.ts';

for (const { title, vector, sphinx } of cases) {
  test(`peeling gives every step of the reference: ${title}`, (t) => {
    let packet = bytes(packetHex(vector.packet));
    for (const [i, step] of vector.steps.entries()) {
      const peeled = sphinx.peel(bytes(vector.hops[i]?.secret ?? ''), packet);
      if (peeled.kind === 'drop') throw new Error(peeled.reason);
      t.is(toHex(peeled.tag), step.tag);
      t.is(toHex(peeled.routingBytes), step.routing);
      t.is(toHex(peeled.macKey), step.mac_key);
      t.is(toHex(peeled.out), packetHex(step.out));
      t.is(toHex(peeled.delta), step.out.delta);
      packet = peeled.out;
    }
  });
}
