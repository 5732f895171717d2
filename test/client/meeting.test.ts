import test from 'ava';
import { contributionText } from '../../src/api/contribution.ts';
import { consensusId, type NegotiationData } from '../../src/api/negotiation.ts';
import { signText } from '../../src/api/signed.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { readMeeting } from '../../src/client/meeting.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { serveAnswers } from './hostile-controller.ts';

const identity = createIdentity(native);

/** A record that convinces, of a negotiation that one key had with itself. */
function recordOf(negotiationId: string): NegotiationData {
  const text = contributionText({
    data: {},
    info: {},
    meta: {
      accept: true,
      signers: [identity.peerId],
      negotiation_id: negotiationId,
      round: 0,
      time: '2026-01-31T12:00:00.000Z',
    },
  });
  const record = {
    id: negotiationId,
    text,
    status: 'DONE' as const,
    timestamp: '2026-01-31T12:00:00.000Z',
    signings: [{ signer_key_id: identity.peerId, signature: signText(native, identity, text) }],
  };
  return { ...record, consensus: consensusId(native, record) };
}

for (const [what, other, expected] of [
  ['the record of another negotiation is not the end of ours', 'B', null],
  ['the record of the negotiation that was asked for is its end', 'A', 'A'],
] as const) {
  test(what, async (t) => {
    const data = recordOf(other.repeat(43));
    const url = await serveAnswers(t, (path) => (path.includes('negotiations') ? { data } : []));
    const client = new ControllerClient({ url, identity, primitives: native });
    const look = readMeeting(client, native, 'A'.repeat(43));
    if (expected === null) {
      await t.throwsAsync(look, { code: 'answer-malformed' });
    } else {
      t.is((await look).consensus?.body.meta.negotiation_id, expected.repeat(43));
    }
  });
}
