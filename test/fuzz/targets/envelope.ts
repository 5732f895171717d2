/**
 * Envelopes: as they are, of which no changed one may pass, and signed over anything, for a gateway
 * of the mixnet may be hostile itself.
 */
import { concat, equalBytes, fromHex, fromUtf8, toHex } from '../../../src/bytes.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { LABELS } from '../../../src/crypto/primitives.ts';
import { assembleMail, type ExitView } from '../../../src/mixnet/assemble.ts';
import { signEnvelope, verifyEnvelope, type Envelope } from '../../../src/mixnet/envelope.ts';
import { joinMail } from '../../../src/mixnet/prepare.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from '../../mixnet/made-directory.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { hasControls, hold, type Target } from '../target.ts';

const SIGNATURE_BYTES = 64;
const identity = createIdentity(native);
const data = fromUtf8('Subject: it\r\n\r\ntext\r\n');
const HONEST: Envelope = {
  mixnet: madeDirectory([]).mixnetId,
  messageId: '07'.repeat(16),
  exit: peerIdOf(9),
  gateway: identity.peerId,
  from: 'alice@a.example',
  recipients: [
    { address: 'bob@b.example', notify: 'SUCCESS,FAILURE' },
    { address: '"x y"@b.example' },
  ],
  body: '8BITMIME',
  smtputf8: false,
  ret: 'HDRS',
  bytes: data.length,
  sha256: toHex(native.sha256(data)),
  expiryMs: NOW_MS + 1000,
};
const VIEW: ExitView = {
  primitives: native,
  directory: madeDirectory([
    madeNode(1, { peerId: identity.peerId, roles: ['gateway'], domains: ['a.example'] }),
    madeNode(9, { roles: ['gateway'], domains: ['b.example'] }),
  ]),
  me: peerIdOf(9),
  acceptsDomain: () => false,
  nowMs: NOW_MS,
};

export function openEnvelope(): Target {
  const seeds = [
    HONEST,
    { ...HONEST, from: '', recipients: [{ address: 'bü@b.example' }], smtputf8: true },
    {
      ...HONEST,
      recipients: Array.from({ length: 40 }, (_, i) => ({ address: `u${i}@b.example` })),
    },
  ].map((envelope) => signEnvelope(native, identity, envelope));
  return {
    seeds,
    mutations: BYTE_MUTATIONS,
    dictionary: [
      '\xdd\x7f\xff\xff\xff',
      '\xdc\xff\xff',
      '\xc6\xff\xff\xff\xff',
      '\xdb\xff\xff\xff\xff',
      '\xcf\0\x20\0\0\0\0\0\0',
      '\xc0',
      '\xc2',
      '\xc3',
      '\x9d',
      '\x92',
      '@b.example',
      '\r\n',
      'NEVER',
    ],
    inputBytesMax: 16_384,
    shortRuns: 6_000,
    run(input) {
      const verified = verifyEnvelope(native, input);
      if (verified.ok) {
        hold(
          seeds.some((seed) => equalBytes(seed, input)),
          'a changed envelope is believed',
        );
      }
      const text = input.subarray(SIGNATURE_BYTES);
      const signature = native.sign(identity.secret, concat(fromUtf8(LABELS.envelope), text));
      checkSigned(concat(signature, text));
    },
  };
}

function checkSigned(signed: Uint8Array): void {
  const verified = verifyEnvelope(native, signed);
  const assembled = assembleMail(VIEW, () => true, [joinMail(signed, data)]);
  if (!verified.ok) {
    hold(assembled.kind === 'refused', 'a mail whose envelope is refused is delivered');
    return;
  }
  const { envelope } = verified;
  hold(fromHex(envelope.gateway)?.length === 32, 'an envelope of nobody');
  for (const { address } of envelope.recipients) {
    hold(!hasControls(address), 'a control character in a recipient');
  }
  hold(
    equalBytes(signEnvelope(native, identity, envelope), signed),
    'an envelope has two encodings',
  );
  if (assembled.kind !== 'mail') return;
  hold(
    envelope.from === '' || /@a\.example\.?$/i.test(envelope.from),
    'a gateway speaks for others',
  );
  for (const { address } of assembled.ours) {
    hold(/@b\.example\.?$/i.test(address), 'a recipient who is not ours');
  }
}
