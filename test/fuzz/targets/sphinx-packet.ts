/** Packets as the wires bring them: a changed one ends, for a reason, at the hop or at the end of its way. */
import { equalBytes, fromUtf8 } from '../../../src/bytes.ts';
import { createMixKey } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { createSphinx, deliverRouting, relayRouting } from '../../../src/sphinx/index.ts';
import { BYTE_MUTATIONS, SAME_LENGTH_MUTATIONS } from '../mutate-bytes.ts';
import { hold, type Target } from '../target.ts';

const REASONS = [
  'packet-length',
  'point-invalid',
  'mac-mismatch',
  'routing-malformed',
  'routing-unknown',
];
const PARAMS = { headerLen: 192, bodyLen: 512 };

/** @param group whose packets: the two have readers of points of their own */
export function openSphinxPacket(group: 'X25519' | 'P-224'): Target {
  const sphinx = createSphinx({ group, ...PARAMS }, native);
  const keys = [1, 2].map(() => createMixKey(native, native.group(group)));
  const [first, last] = keys;
  if (!first || !last) throw new Error('two keys were made');
  const hops = keys.map(({ publicKey }, i) => ({
    routing: relayRouting(new Uint8Array(16).fill(i), 1000),
    publicKey,
  }));
  const seeds = ['a', 'b'].map((text) => sphinx.build(hops, fromUtf8('mail'), fromUtf8(text)));
  const known = new Set(seeds.map((seed) => Buffer.from(seed).toString('latin1')));
  const headBytes = sphinx.packetBytes - PARAMS.bodyLen;
  return {
    seeds,
    mutations: [...SAME_LENGTH_MUTATIONS, ...SAME_LENGTH_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: ['\0'.repeat(16), '\xff'.repeat(16), '\x01' + '\0'.repeat(31)],
    inputBytesMax: 2_048,
    shortRuns: group === 'X25519' ? 3_000 : 150,
    run(packet) {
      const one = sphinx.peel(first.secret, packet);
      if (one.kind === 'drop') {
        hold(REASONS.includes(one.reason), 'a drop without a reason of ours');
        hold(!known.has(Buffer.from(packet).toString('latin1')), 'a good packet is dropped');
        return;
      }
      hold(
        seeds.some((seed) => sameHead(seed, packet, headBytes)),
        'a changed header is accepted',
      );
      const two = sphinx.peel(last.secret, one.out);
      hold(
        two.kind === 'peeled' && equalBytes(two.routingBytes, deliverRouting()),
        'the way is lost',
      );
      const payload = sphinx.openForward(two.macKey, two.delta);
      const isGood = known.has(Buffer.from(packet).toString('latin1'));
      hold('kind' in payload !== isGood, 'a changed body is opened, or a good one is not');
    },
  };
}

/** As curves go, alpha and alpha + p are one point: bytes beyond the prime name what others name too. */
function sameHead(left: Uint8Array, right: Uint8Array, bytes: number): boolean {
  return equalBytes(left.subarray(0, bytes), right.subarray(0, bytes));
}
