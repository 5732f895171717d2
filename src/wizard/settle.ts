/**
 * What coordinator and contributors do alike: sign one founding text and apply it, name the nodes and
 * apply that, and leave the result in the state file. Every step can be repeated after a kill -9.
 */
import type { ContributionBody } from '../api/contribution.ts';
import { combinedPeer, type PeerCreate } from '../api/peer.ts';
import { agree, retrying, type Agreed, type Agreement, type Party } from '../client/agree.ts';
import type { Stage } from './decisions.ts';
import type { Talk } from './talk.ts';
import { nextNegotiation } from '../client/meeting.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { parseMixnet, type Founding } from '../mixnet/directory-texts.ts';
import type { MixnetState, MixnetStateFile } from '../mixer/mixnet-state.ts';
import type { Ground } from './nodes.ts';
import type { Mixnet, PeerOptions } from './options.ts';

/** A negotiation of the wizard's: what differs between them. */
export type Steps = Pick<Agreement, 'opening' | 'compose' | 'review' | 'progress'> & {
  /** Whether an end without our signature is one in which others rightly went on without us. */
  isLeftOut?(agreed: Agreed): boolean;
};

/**
 * Runs one negotiation, signing at most one text in it, over any number of starts.
 * @throws PanoramixError `agreement-foreign` where it ended with a text that we did not sign, `agreement-aborted`
 *   and `signer-equivocates` with who and why
 */
export async function settle(
  talk: Talk,
  stage: Stage,
  negotiationId: string,
  steps: Steps,
): Promise<Agreed> {
  const { party, file } = talk;
  const signedHere = (): string | null => file.read()?.signed[negotiationId] ?? null;
  try {
    const agreed = await agree(party, {
      ...steps,
      ...talk.hooks,
      progress: async (meeting) => {
        await steps.progress?.(meeting);
        await talk.stopWhereDue(meeting);
        const isWaiting = meeting.consensus === null && signedHere() !== null;
        if (isWaiting) talk.tell({ event: 'no-consensus-yet', stage });
      },
      negotiationId,
      signed: signedHere(),
      remember: (text) => file.sign(negotiationId, text),
      onRefusal: 'stop',
    });
    if (agreed.consensus.text !== signedHere() && steps.isLeftOut?.(agreed) !== true) {
      throw new PanoramixError(
        'agreement-foreign',
        'the others, or the controller, ended the negotiation without us',
      );
    }
    talk.tell({ event: 'consensus', stage, consensusId: agreed.consensus.consensusId });
    return agreed;
  } finally {
    talk.questions.close();
  }
}

/** Applies the founding: creates the combined peer, which somebody else may have done already. */
export async function applyFounding(
  party: Party,
  options: PeerOptions,
  file: MixnetStateFile,
  agreed: Agreed,
): Promise<Ground> {
  const { terms, data } = foundingOf(agreed.consensus.body, party);
  await retrying(party, async () => {
    try {
      await party.client.createPeer(data, agreed.consensus.consensusId);
    } catch (error) {
      // Another owner came first. The id commits to the whole founding text.
      if (asPanoramixError(error).code !== 'peer-exists') throw error;
    }
  });
  const state = file.read();
  const logNegotiationId =
    state?.log_negotiation_id ??
    nextNegotiation(agreed.meeting, agreed.consensus.body, party.primitives);
  if (logNegotiationId === null) {
    throw new PanoramixError('agreement-foreign', 'nobody named the negotiation about the nodes');
  }
  const mixnetId = data.key_id;
  const mixnetUrl = `${party.client.url}panoramix/peers/${mixnetId}/`;
  file.update({
    mixnet_id: mixnetId,
    mixnet_url: mixnetUrl,
    log_negotiation_id: logNegotiationId,
  });
  options.progress?.({ event: 'founded', mixnetId, mixnetUrl });
  return {
    mixnetId,
    foundingConsensusId: agreed.consensus.consensusId,
    owners: terms.owners,
    rule: terms.rule,
    coordinator: state?.coordinator ?? party.peerId,
    params: terms.params,
  };
}

/** What a finished state file says; null while it is not finished. */
export function mixnetOf(state: MixnetState | null): Mixnet | null {
  if (!state?.mixnet_id || !state.mixnet_url || !state.nodes || !state.next_negotiation_id) {
    return null;
  }
  return {
    mixnetId: state.mixnet_id,
    mixnetUrl: state.mixnet_url,
    nodes: state.nodes,
    nextNegotiationId: state.next_negotiation_id,
  };
}

function foundingOf(
  body: ContributionBody,
  party: Party,
): { readonly terms: Founding; readonly data: Required<PeerCreate> } {
  const terms = parseMixnet((body.data as { key_data: string }).key_data);
  // We have signed exactly this text, after a review that parsed it.
  if (!terms) throw new PanoramixError('unexpected', 'the founding text that we signed is none');
  return { terms, data: combinedPeer(party.primitives, terms) };
}
