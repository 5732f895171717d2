/**
 * Opens a gateway together with the other owners, and our own link behind it: the wizard's last act, and
 * what running owners do again when a gateway has had its cycles. The keys are drawn before anything is
 * said, and the old ones destroyed once the new gateway stands.
 */
import type { BatchLink } from '../../api/batch-params.ts';
import { endpointCreate, type EndpointCreate } from '../../api/endpoint.ts';
import { retrying } from '../../client/agree.ts';
import type { GroupName } from '../../crypto/primitives.ts';
import { PanoramixError } from '../../errors.ts';
import type { BatchState, MixnetStateFile } from '../mixnet-state.ts';
import { agreeOnStep, type AgreedStep, type StepGround } from './agree-step.ts';
import { readOrCreateBatchKeys } from './batch-keys.ts';
import { openAlone, type OwnerView } from './batch-view.ts';
import { creationStep, termsOf, type CreationGround, type GatewayTerms } from './creation.ts';
import { linkIdOf, linkTerms } from './own-link.ts';

/** Cycles of one gateway: a controller keeps 256 steps of it, and no key should serve for ever. */
export const CLOSINGS_MAX = 60;

/** How a gateway is to be opened. */
export type OpeningWish = Pick<
  CreationGround,
  'mixnetId' | 'group' | 'proposal' | 'refuse' | 'word'
>;

/**
 * Agrees on a gateway, opens it and our link, and writes down where its first cycle stands.
 * @param closingsMax the same for all owners
 */
export async function openGateway(
  view: OwnerView,
  ground: StepGround,
  wish: OpeningWish,
  closingsMax = CLOSINGS_MAX,
): Promise<GatewayTerms> {
  const { party, file, owners, coordinator } = ground;
  const linkFor = (gatewayId: string): BatchLink => ownLinkOf(view, gatewayId, wish.group);
  const step = creationStep({ ...wish, owners, coordinator, peerId: party.peerId, linkFor });
  const agreed = await agreeOnStep(ground, step);
  const fields = endpointCreate.parse(agreed.data);
  const terms = termsOf(fields);
  if (terms === null) throw new PanoramixError('unexpected', 'what we signed opens no gateway');
  await retrying(party, async () => {
    await party.client.createEndpoint(agreed.data as EndpointCreate, agreed.consensusId);
    const link = linkFor(terms.endpointId);
    await openAlone(view, linkTerms(link, wish.group, terms.sizeMax));
  });
  writeStep(
    file,
    agreed,
    {
      endpoint_id: terms.endpointId,
      step: firstStep(0, closingsMax),
      last_consensus_id: agreed.consensusId,
      closings: 0,
      opened: [agreed.consensusId],
    },
    owners,
  );
  return terms;
}

/** A gateway's last cycle begins by taking no more, so that nothing is left behind in its INBOX. */
export function firstStep(closings: number, closingsMax: number): 'full' | 'close' {
  return closings + 1 >= closingsMax ? 'full' : 'close';
}

/**
 * Writes down what was agreed, and what is negotiated next.
 * @param owners where that opens something: nodes to a controller that goes by this file, else strangers who
 *   fill its storage would keep them from agreeing
 */
export function writeStep(
  file: MixnetStateFile,
  agreed: AgreedStep,
  batch: BatchState,
  owners: readonly string[] | null = null,
): void {
  const before = file.read();
  if (!before) throw new PanoramixError('config-invalid', `${file.path} is missing`);
  const { proposed_negotiation_id: _proposed, ...kept } = before;
  file.write({
    ...kept,
    ...(owners && { nodes: [...owners] }),
    next_negotiation_id: agreed.nextNegotiationId,
    signed: {},
    batch,
  });
}

function ownLinkOf(view: OwnerView, gatewayId: string, group: GroupName): BatchLink {
  const { peerId } = view.identity;
  const endpointId = linkIdOf(peerId, gatewayId);
  const { mixKey } = readOrCreateBatchKeys(view.dataDir, view.primitives, endpointId, group);
  return { peerId, endpointId, publicKey: mixKey.publicKey };
}
