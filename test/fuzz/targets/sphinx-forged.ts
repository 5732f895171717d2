/**
 * Packets with a right MAC over anything: what a hostile sender, who makes his own packets, can put before the
 * readers behind the cryptography. The input is length byte and routing; behind a mark comes the payload.
 */
import { concat, equalBytes, fromUtf8 } from '../../../src/bytes.ts';
import { createMixKey } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { mac } from '../../../src/sphinx/derive.ts';
import {
  createSphinx,
  deliverRouting,
  relayRouting,
  replyRouting,
} from '../../../src/sphinx/index.ts';
import { encodePayload } from '../../../src/sphinx/payload.ts';
import { forgePacket, withLengthByte } from '../../sphinx/forge.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { hold, type Target } from '../target.ts';

const BODY_BYTES = 512;
const MARK = fromUtf8('|payload|');
const ROUTINGS = [
  relayRouting(new Uint8Array(16).fill(7), 1500),
  deliverRouting(),
  replyRouting(new Uint8Array(), new Uint8Array(16).fill(9)),
  replyRouting(fromUtf8('dest'), new Uint8Array(16).fill(9)),
];

export function openSphinxForged(): Target {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: BODY_BYTES }, native);
  const key = createMixKey(native, native.group('X25519'));
  const payload = encodePayload(fromUtf8('mail'), fromUtf8('hello'));
  return {
    seeds: ROUTINGS.map((routing) =>
      concat(withLengthByte(routing), MARK, payload, Uint8Array.of(0x7f)),
    ),
    mutations: BYTE_MUTATIONS,
    dictionary: [
      '\xa2\xc3\xb0',
      '\xa2\xc3\xb1',
      '\xa2\xc3\xb2',
      '\x91',
      '\x92',
      '\x93',
      '\xc4\x10',
      '\xc5\x00',
      '\xc6',
      '|payload|',
      '\x7f',
      '\x7f\xff',
    ],
    inputBytesMax: 700,
    shortRuns: 3_000,
    run(input) {
      const at = Buffer.from(input).indexOf(MARK);
      const plain = at < 0 ? input : input.subarray(0, at);
      const content = at < 0 ? new Uint8Array() : input.subarray(at + MARK.length);
      const peeled = sphinx.peel(key.secret, forgePacket(sphinx, native, key.publicKey, plain));
      if (peeled.kind !== 'drop') checkRouting(peeled.routing, peeled.routingBytes, plain);
      checkPayload(content);
    },
  };

  function checkPayload(content: Uint8Array): void {
    const macKey = new Uint8Array(16).fill(1);
    const body = new Uint8Array(BODY_BYTES).fill(0xff);
    body.set(content.subarray(0, BODY_BYTES - 16), 16);
    body.set(mac(native, macKey, body.subarray(16)));
    const opened = sphinx.openForward(macKey, body);
    if ('kind' in opened) {
      hold(
        opened.reason === 'payload-malformed',
        'a body with a right MAC is refused for another reason',
      );
      return;
    }
    const written = encodePayload(opened.dest, opened.message);
    hold(
      equalBytes(written, body.subarray(16, 16 + written.length)),
      'a payload has two encodings',
    );
    hold(body[16 + written.length] === 0x7f, 'a payload does not end where it ends');
  }
}

/** One routing has one encoding, or a sender could mark packets for hops that he does not own. */
function checkRouting(
  routing: { readonly kind: string } & Record<string, unknown>,
  bytes: Uint8Array,
  plain: Uint8Array,
): void {
  hold(
    equalBytes(bytes, padded(plain, 1 + bytes.length).subarray(1)),
    'the routing is not what was sent',
  );
  const again =
    routing.kind === 'relay'
      ? relayRouting(routing['address'] as Uint8Array, routing['delayMs'] as number)
      : routing.kind === 'deliver'
        ? deliverRouting()
        : routing.kind === 'reply'
          ? replyRouting(routing['dest'] as Uint8Array, routing['id'] as Uint8Array)
          : (routing['raw'] as Uint8Array);
  hold(equalBytes(again, bytes), 'a routing has two encodings');
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes.subarray(0, length));
  return whole;
}
