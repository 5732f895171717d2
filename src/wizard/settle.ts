/**
 * What coordinator and contributors do alike: sign one founding text and apply it, name the nodes and
 * apply that, and leave the result in the state file. Every step can be repeated after a kill -9.
 */
import type { ContributionBody } from '../api/contribution.ts';
import type { VerifiedConsensus } from '../api/negotiation.ts';
import { combinedPeer, type PeerCreate } from '../api/peer.ts';
import { agree, retrying, type Agreed, type Agreement, type Party } from '../client/agree.ts';
import { nextNegotiation } from '../client/meeting.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { parseMixnet, type Founding, type LogEntry } from '../mixnet/directory-texts.ts';
import type { MixnetState, MixnetStateFile } from '../mixer/mixnet-state.ts';
import {
  composeNodes,
  mixesBetween,
  namedNodes,
  nodeOf,
  reviewNodes,
  wishNode,
  type Ground,
  type Terms,
} from './nodes.ts';
import type { Mixnet, PeerOptions, WizardOptions } from './options.ts';

/** A negotiation of the wizard's: what differs between them. */
type Steps = Pick<Agreement, 'opening' | 'compose' | 'review' | 'progress'>;

/**
 * Runs one negotiation, signing at most one text in it, over any number of starts.
 * @throws PanoramixError `agreement-foreign` where it ended with a text that we did not sign
 */
export async function settle(
  party: Party,
  file: MixnetStateFile,
  negotiationId: string,
  steps: Steps,
): Promise<Agreed> {
  const agreed = await agree(party, {
    ...steps,
    negotiationId,
    signed: file.read()?.signed[negotiationId] ?? null,
    remember: (text) => file.sign(negotiationId, text),
    onRefusal: 'stop',
  });
  if (agreed.consensus.text !== file.read()?.signed[negotiationId]) {
    throw new PanoramixError(
      'agreement-foreign',
      'the others, or the controller, ended the negotiation without us',
    );
  }
  return agreed;
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

/**
 * Names the nodes: our own by wish, and all together in the first entry of the log.
 * @param proposal the coordinator's: traffic, and the negotiation that follows
 */
export async function agreeOnNodes(
  party: Party,
  options: WizardOptions,
  file: MixnetStateFile,
  ground: Ground,
  proposal?: { readonly terms: Terms; readonly nextNegotiationId: string },
): Promise<Mixnet> {
  const own = nodeOf(party.peerId, options.node);
  const negotiationId = (file.read() as MixnetState).log_negotiation_id as string;
  const next = proposal && { next_negotiation_id: proposal.nextNegotiationId };
  const agreed = await settle(party, file, negotiationId, {
    opening: () => ({ ...wishNode(ground, own, proposal?.terms), ...(next && { meta: next }) }),
    compose: (meeting) => {
      const composed = proposal && composeNodes(meeting, ground, proposal.terms);
      return composed ? { ...composed, ...(next && { meta: next }) } : null;
    },
    review: (said, meeting) => reviewNodes(party.primitives, said.body, meeting, ground, own),
    progress: (meeting) =>
      options.progress?.({
        event: 'nodes-named',
        named: namedNodes(meeting, ground).length,
        owners: ground.owners.length,
      }),
  });
  await applyNodes(party, ground, agreed.consensus);
  return finish(party, options, file, agreed);
}

/** Applies the log entry, which another owner may have done already. */
async function applyNodes(
  party: Party,
  ground: Ground,
  consensus: VerifiedConsensus,
): Promise<void> {
  const decision = {
    consensusId: consensus.consensusId,
    onLastConsensusId: ground.foundingConsensusId,
  };
  await retrying(party, async () => {
    try {
      await party.client.updatePeer(ground.mixnetId, consensus.body.data, decision);
    } catch (error) {
      const peer = await party.client.getPeer(ground.mixnetId);
      const isDone = peer?.consensus_logs.some((log) => log.consensus_id === decision.consensusId);
      if (!isDone) throw error;
    }
  });
}

function finish(
  party: Party,
  options: PeerOptions,
  file: MixnetStateFile,
  { consensus, meeting }: Agreed,
): Mixnet {
  const { log } = consensus.body.data as { log: LogEntry };
  const next = nextNegotiation(meeting, consensus.body, party.primitives);
  if (next === null) {
    throw new PanoramixError('agreement-foreign', 'nobody named the negotiation that follows');
  }
  const available = mixesBetween(log.nodes);
  const needed = log.traffic.mixes_per_route;
  if (available < needed) options.progress?.({ event: 'few-mixes', available, needed });
  options.progress?.({ event: 'nodes-agreed', nodes: log.nodes });
  const {
    tokens: _tokens,
    invitation: _invitation,
    proposed_negotiation_id: _proposed,
    ...kept
  } = file.read() as MixnetState;
  return mixnetOf(
    file.write({
      ...kept,
      nodes: log.nodes.map((node) => node.peer_id),
      next_negotiation_id: next,
      // What was signed is public now; the invitations have served.
      signed: {},
    }),
  ) as Mixnet;
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
