/**
 * A contributor's way into a mixnet (D4.2 §5.2): register, find the proposal of who invited us, join,
 * look at the founding text, sign, name our node. Killed and started again, it goes on.
 */
import { retrying } from '../client/agree.ts';
import { proveInvitation, readInvitation, type Invitation } from '../client/invitation.ts';
import type { Meeting } from '../client/meeting.ts';
import { PanoramixError } from '../errors.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import { findProposal, reviewFounding, type Proposal } from './founding.ts';
import { nodeOf } from './nodes.ts';
import type { Founded } from './found.ts';
import { partyOf, type JoinOptions, type JoinPeerOptions, type Mixnet } from './options.ts';
import { agreeOnNodes, applyFounding, mixnetOf, settle } from './settle.ts';

/**
 * Joins the mixnet of an invitation and names our node in it.
 * @returns once the controller has taken both; at once where the state file says that it has
 * @throws PanoramixError `invitation-invalid`, `agreement-refused` with who and why, `negotiation-unknown`
 */
export async function joinMixnet(options: JoinOptions): Promise<Mixnet> {
  nodeOf(options.identity.peerId, options.node);
  const finished = mixnetOf(new MixnetStateFile(options.statePath).read());
  if (finished) return finished;
  const { party, file, ground } = await joinPeer(options);
  return await agreeOnNodes(party, options, file, ground);
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

  const proof = proveInvitation(options.primitives, invitation, party.peerId);
  let shown = false;
  const find = (meeting: Meeting): Proposal | null => {
    const proposal = findProposal(options.primitives, meeting, invitation);
    if (proposal && !shown) {
      shown = true;
      file.update({ coordinator: proposal.terms.coordinator });
      options.progress?.({ event: 'proposed', terms: proposal.terms });
    }
    return proposal;
  };
  const agreed = await settle(party, file, invitation.negotiationId, {
    opening: (meeting) => {
      const proposal = find(meeting);
      if (!proposal) return null;
      const { data, info } = proposal.statement.body;
      return { data: data as object, info: info as object, meta: { invitation: proof } };
    },
    compose: () => null,
    review: (said, meeting) => {
      const proposal = find(meeting);
      if (!proposal) return 'proposal-missing';
      return (
        options.reviewTerms?.(proposal.terms) ??
        reviewFounding(options.primitives, said.body, meeting, proposal, party.peerId)
      );
    },
  });
  return { party, file, ground: await applyFounding(party, options, file, agreed) };
}

function begin(
  options: JoinPeerOptions,
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
  if (isOurs && state.founding_negotiation_id === invitation.negotiationId) return;
  throw new PanoramixError(
    'config-invalid',
    `${options.statePath} belongs to another key, controller or invitation; move it away to start anew`,
  );
}
