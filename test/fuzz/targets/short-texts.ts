/** Short texts: bytes as base64url and hex, what a user pastes (invitation, mix-net URL), return addresses. */
import { fromBase64url, fromHex, toBase64url, toHex } from '../../../src/bytes.ts';
import { readMixnetUrl } from '../../../src/client/careful.ts';
import { readInvitation, writeInvitation } from '../../../src/client/invitation.ts';
import { native } from '../../../src/crypto/native.ts';
import {
  isReturnAddress,
  messageIdOfReturn,
  returnAddress,
} from '../../../src/mail/return-address.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { textSeeds } from '../seeds.ts';
import { hold, lossyText, type Target } from '../target.ts';

const KEY = new Uint8Array(32).fill(3);
const DOMAIN = 'b.example';
const WORDS = [
  '=',
  '-',
  '_',
  '+',
  '/',
  '|',
  'AA',
  'ff',
  '\0',
  ' ',
  '\n',
  '@',
  'panoramix+',
  'http://',
  '/panoramix/peers/',
  'é',
];

export function openShortTexts(): Target {
  const ours = returnAddress(native, KEY, 'ab'.repeat(16), DOMAIN);
  return {
    seeds: textSeeds([
      toBase64url(Uint8Array.from({ length: 40 }, (_, i) => i * 7)),
      'AAAA-_8',
      toHex(KEY),
      `${'A'.repeat(43)}|${toBase64url(KEY)}`,
      `https://a.example:8000/below/panoramix/peers/${'a'.repeat(64)}/`,
      ours,
    ]),
    mutations: BYTE_MUTATIONS,
    dictionary: WORDS,
    inputBytesMax: 70_000,
    shortRuns: 15_000,
    run(input) {
      const text = lossyText(input);
      const bytes = fromBase64url(text);
      if (bytes !== null) hold(toBase64url(bytes) === text, 'bytes have two texts in base64url');
      else hold(toBase64url(Buffer.from(text, 'base64url')) !== text, 'good base64url is refused');
      hold(
        equalText(fromBase64url(toBase64url(input)), input),
        'base64url does not give the bytes again',
      );
      const octets = fromHex(text);
      if (octets !== null) hold(toHex(octets) === text.toLowerCase(), 'hex is read as other bytes');
      const invitation = readInvitation(text);
      if (invitation) hold(writeInvitation(invitation) === text.trim(), 'another invitation');
      const url = readMixnetUrl(text);
      if (url)
        hold(
          text.trim().startsWith(`${url.controllerUrl}panoramix/peers/${url.mixnetId}`),
          'another URL',
        );
      const messageId = messageIdOfReturn(native, KEY, text, DOMAIN);
      if (messageId === null) return;
      hold(
        text.toLowerCase().startsWith(ours.slice(0, -DOMAIN.length)),
        'a return address that is not ours',
      );
      hold(
        messageId === 'ab'.repeat(16) && isReturnAddress(text),
        'a return address of another mail',
      );
    },
  };
}

function equalText(bytes: Uint8Array | null, wanted: Uint8Array): boolean {
  return bytes !== null && Buffer.from(bytes).equals(wanted);
}
