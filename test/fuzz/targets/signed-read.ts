/** Signed reading: two header fields and a request line that come from anybody. */
import { signRead, verifyRead } from '../../../src/api/http-signature.ts';
import { fromUtf8 } from '../../../src/bytes.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { hold, lossyText, type Target } from '../target.ts';

const CONTEXT = { nowMs: 1_800_000_000_000, catalogUrl: 'http://127.0.0.1:8000/' };
const WORDS = [
  '"@method"', '"@authority"', '"@path"', '"@query"', ';created=', ';keyid="', ';alg="ed25519"', ';nonce="', ';tag="panoramix"',
  'sig1=', 'sig1=:', ':', '(', ')', '"', ' ', ';', '=', '\\', '?', '1800000000', '==:', ';bs', ';req',
]; // prettier-ignore

export function openSignedRead(): Target {
  const identity = createIdentity(native);
  const target = { method: 'GET', path: '/panoramix/messages', query: '?endpoint_id=a&box=INBOX' };
  const { signatureInput, signature } = signRead(native, identity, target, CONTEXT);
  const honest = [target.method, target.path, target.query, signatureInput, signature];
  return {
    seeds: [fromUtf8(honest.join('\n'))],
    mutations: [...BYTE_MUTATIONS, ...LINE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 8_192,
    shortRuns: 15_000,
    run(input) {
      const [method = '', path = '', query = '', signatureField = '', ...rest] =
        lossyText(input).split('\n');
      const fields = { signatureInput: signatureField, signature: rest.join('\n') };
      const verified = verifyRead(native, { method, path, query }, fields, CONTEXT);
      if (!verified.ok) return;
      hold(verified.signer === identity.peerId, 'another key has signed');
      // All that is covered must be as it was; the label alone is not signed (RFC 9421 §2.5).
      const withoutLabel = [method, path, query, signatureField.replace(/^[^=]*/, '')];
      const wanted = [...honest.slice(0, 3), signatureInput.replace(/^[^=]*/, '')];
      hold(withoutLabel.join('\n') === wanted.join('\n'), 'a changed request passes for signed');
    },
  };
}
