/**
 * A contributor's way into a mixnet (D4.2 §5.2): register, find the proposal of who invited us, join,
 * look at the founding text, sign, name our node. Killed and started again, it goes on.
 */
import { retrying } from '../client/agree.ts';
import { readInvitation, type Invitation } from '../client/invitation.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import type { FoundingTermsText } from './decisions.ts';
import { FoundingContributor } from './founding-contributor.ts';
import { MovedOn } from './move.ts';
import { agreeOnNodes } from './name-nodes.ts';
import { nodeOf, refuseForMail } from './nodes.ts';
import type { Founded } from './found.ts';
import { partyOf, type JoinOptions, type JoinPeerOptions, type Mixnet } from './options.ts';
import { applyFounding, mixnetOf, settle } from './settle.ts';
import { Talk } from './talk.ts';

/**
 * Joins the mixnet of an invitation and names our node in it.
 * @returns once the controller has taken both; at once where the state file says that it has
 * @throws PanoramixError `invitation-invalid`, `invitation-used`, `invitation-withdrawn`, `agreement-aborted`,
 *   `agreement-refused` and `signer-equivocates` with who and why, `domain-unproved`, `negotiation-unknown`
 */
export async function joinMixnet(options: JoinOptions): Promise<Mixnet> {
  nodeOf(options.identity.peerId, options.node);
  const finished = mixnetOf(new MixnetStateFile(options.statePath).read());
  if (finished) return finished;
  const { party, file, ground } = await joinPeer({ ...options, refuse });
  return await agreeOnNodes(party, options, file, ground);
}

/** Over how many mixes it goes is known later. */
function refuse({ params }: FoundingTermsText): string | null {
  return refuseForMail(params, 1);
}

/** Joins the combined peer of an invitation. Throws as `joinMixnet`. */
export async function joinPeer(options: JoinPeerOptions): Promise<Founded> {
  const file = new MixnetStateFile(options.statePath);
  const invitation = readInvitation(options.invitation);
  if (!invitation) {
    throw new PanoramixError('invitation-invalid', 'an invitation looks like NEGOTIATION|TOKEN');
  }
  const party = partyOf(options);
  await retrying(party, () => options.client.registerPeer(options.peerName));
  options.progress?.({ event: 'registered', peerId: party.peerId });
  checkState(options, file.read() ?? begin(options, file, invitation), invitation);
  for (;;) {
    const here = readInvitation((file.read() as MixnetState).invitation ?? '') ?? invitation;
    const contributor = new FoundingContributor(
      options,
      here,
      (about) => new Talk(party, options, file, about),
    );
    try {
      const agreed = await settle(
        contributor.talk,
        'founding',
        here.negotiationId,
        contributor.steps,
      );
      return { party, file, ground: await applyFounding(party, options, file, agreed) };
    } catch (error) {
      if (error instanceof MovedOn) continue;
      const reason = asLate(error, file, here);
      // Another invitation may be used then: as long as we have signed nothing, nothing is to be remembered.
      if (isClosed(reason) && Object.keys(file.read()?.signed ?? {}).length === 0) file.forget();
      throw reason;
    }
  }
}

/** What ended without us before we had signed anything: who comes too late is told what that means. */
function asLate(error: unknown, file: MixnetStateFile, { negotiationId }: Invitation): unknown {
  const isForeign = asPanoramixError(error).code === 'agreement-foreign';
  if (!isForeign || file.read()?.signed[negotiationId] !== undefined) return error;
  return new PanoramixError(
    'invitation-used',
    'the mixnet was founded without us: another has used this invitation, or it was given up',
    error,
  );
}

/** Whether an invitation leads nowhere any more. */
function isClosed(error: unknown): boolean {
  const { code } = asPanoramixError(error);
  return code === 'invitation-used' || code === 'invitation-withdrawn';
}

/** Remembers an invitation, before anything is said. */
export function begin(
  options: Pick<JoinPeerOptions, 'client' | 'identity' | 'invitation'>,
  file: MixnetStateFile,
  invitation: Invitation,
): MixnetState {
  return file.write({
    version: 1,
    catalog_url: options.client.url,
    peer_id: options.identity.peerId,
    founding_negotiation_id: invitation.negotiationId,
    invitation: options.invitation.trim(),
    signed: {},
  });
}

function checkState(options: JoinPeerOptions, state: MixnetState, invitation: Invitation): void {
  const isOurs =
    state.peer_id === options.identity.peerId && state.catalog_url === options.client.url;
  // A founding may have moved on to another negotiation; the token is the same.
  const { token } = readInvitation(state.invitation ?? '') ?? {};
  if (isOurs && token === invitation.token) return;
  throw new PanoramixError(
    'config-invalid',
    `${options.statePath} belongs to another key, controller or invitation; move it away to start anew`,
  );
}
