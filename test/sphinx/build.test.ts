import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { bytes, cases, hopsOf, packetHex, recordedRandom } from './vectors.ts';

for (const { title, vector, sphinx } of cases) {
  if (vector.kind !== 'forward') continue;
  test(`building with the recorded randomness gives the reference's packet: ${title}`, (t) => {
    const packet = sphinx.build(
      hopsOf(vector),
      bytes(vector.dest),
      bytes(vector.message),
      recordedRandom(vector.randomness),
    );
    t.is(toHex(packet), packetHex(vector.packet));
  });
}
