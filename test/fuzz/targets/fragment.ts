/** Payloads of mail: frames, the mail that they join to, reply blocks and the answers along them. */
import { concat, equalBytes } from '../../../src/bytes.ts';
import { createMixKey } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { buildAck, readAck, replyBlockOf } from '../../../src/mixnet/ack.ts';
import { decodeFragment, encodeFragment, FRAGMENTS_MAX } from '../../../src/mixnet/fragment.ts';
import { geometryOf } from '../../../src/mixnet/geometry.ts';
import { joinMail, splitMail } from '../../../src/mixnet/prepare.ts';
import { createSphinx, relayRouting } from '../../../src/sphinx/index.ts';
import { BYTE_MUTATIONS, SAME_LENGTH_MUTATIONS } from '../mutate-bytes.ts';
import { hold, type Target } from '../target.ts';

export function openFragment(): Target {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 768 }, native);
  const geometry = geometryOf(sphinx);
  const { publicKey } = createMixKey(native, native.group('X25519'));
  const routing = relayRouting(new Uint8Array(16).fill(3), 5);
  const { surb, keytuple } = sphinx.createSurb([{ routing, publicKey }], new Uint8Array());
  const block = sphinx.encodeSurb(surb);
  const about = { messageId: new Uint8Array(16).fill(7), expiryMs: 1_800_000_000_000 };
  const full = new Uint8Array(geometry.fragmentBytes).fill(5);
  return {
    seeds: [
      encodeFragment({ ...about, index: 0, total: 2, bytes: full }, geometry, block),
      encodeFragment({ ...about, index: 1, total: 2, bytes: full.subarray(0, 9) }, geometry, block),
      encodeFragment({ ...about, index: 2047, total: 2048, bytes: full.subarray(0, 0) }, geometry),
      joinMail(new Uint8Array(70), full),
    ],
    mutations: [...SAME_LENGTH_MUTATIONS, ...SAME_LENGTH_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: ['\0\0\0\0', '\xff\xff\xff\xff', '\0\0\x08\0', '\0\0\x07\xff'],
    inputBytesMax: 2_000,
    shortRuns: 4_000,
    run(input) {
      const fragment = decodeFragment(input, geometry);
      const replyBlock = replyBlockOf(input, geometry);
      if (fragment !== null) {
        const { index, total, bytes } = fragment;
        hold(index < total && total <= FRAGMENTS_MAX, 'an index beyond the total');
        hold(index === total - 1 || bytes.length === geometry.fragmentBytes, 'a gap in a message');
        const again = encodeFragment(fragment, geometry, replyBlock);
        // The mark's room is not read yet: what stands there may be anything.
        again.set(input.subarray(35, 35 + 96), 35);
        hold(equalBytes(again, input), 'a fragment has two encodings');
      }
      checkMail(input);
      const ack = buildAck(sphinx, replyBlock, 'kept');
      hold(ack === null || ack.packet.length === sphinx.packetBytes, 'an ack of another length');
      const delta = concat(input, new Uint8Array(768)).subarray(0, 768);
      hold(readAck(sphinx, keytuple, delta) === null, 'an answer that nobody gave is believed');
    },
  };
}

function checkMail(input: Uint8Array): void {
  const mail = splitMail(input);
  if (mail === null) return;
  hold(equalBytes(joinMail(mail.signedEnvelope, mail.data), input), 'a mail has two encodings');
}
