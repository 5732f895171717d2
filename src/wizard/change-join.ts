/**
 * A new owner's way into a mixnet that is there: find who invited us, look at the mixnet from its id, say what
 * our node is to be, check the whole entry in which we stand, sign it. Killed and started again, it goes on.
 */
import { retrying, type Party } from '../client/agree.ts';
import { readAbort } from '../client/abort.ts';
import {
  holdsInvitation,
  proveInvitation,
  readInvitation,
  type Invitation,
} from '../client/invitation.ts';
import { lastWord, nextNegotiation, type Meeting, type Statement } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { LogNode } from '../mixnet/directory-texts.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import type { ChangeEvent } from './change-events.ts';
import type { ChangeOptions, JoinChangeOptions } from './change-options.ts';
import { answerChange } from './change-review.ts';
import { look, partyOfChange, readGround, sayWord } from './change-step.ts';
import type { Standing } from './change-wish.ts';
import { decideByOptions } from './decisions.ts';
import { proveDomains, type DomainOptions } from './domain-proof.ts';
import { begin } from './join.ts';
import { nodeOf } from './nodes.ts';
import type { JoinPeerOptions, Mixnet, NodeWish } from './options.ts';
import { mixnetOf } from './settle.ts';

/**
 * Joins the mixnet of an invitation as a new owner.
 * @returns once the log says so; at once where the state file says that it does
 * @throws PanoramixError `invitation-invalid`, `agreement-refused`, `agreement-aborted`, `domain-unproved`
 */
export async function joinChange(options: JoinChangeOptions): Promise<Mixnet> {
  const own = nodeOf(options.identity.peerId, options.node);
  const file = new MixnetStateFile(options.statePath);
  const finished = mixnetOf(file.read());
  if (finished) return finished;
  const invitation = readInvitation(options.invitation);
  if (!invitation) {
    throw new PanoramixError('invitation-invalid', 'an invitation looks like NEGOTIATION|TOKEN');
  }
  const party = partyOfChange(options);
  await retrying(party, () => options.client.registerPeer(options.peerName));
  checkState(options, file.read() ?? begin(options, file, invitation), invitation);
  for (;;) {
    const meeting = await look(party, invitation.negotiationId);
    const inviter = inviterIn(party.primitives, meeting, invitation);
    if (inviter) {
      await join(party, meeting, inviter, invitation, own);
      const mixnet = await takePart(options, party, file, meeting, inviter, own);
      if (mixnet) return mixnet;
    }
    await party.wait(party.pollMs);
  }
}

/**
 * `joinChange` for whoever was invited and does not know yet to what.
 * @returns null where the invitation is to the founding of a mixnet
 */
export async function joinIfLive(
  options: JoinPeerOptions & { readonly node?: NodeWish; readonly domains?: DomainOptions },
): Promise<Mixnet | null> {
  const { progress, node, decisions = decideByOptions(), domains, ...peer } = options;
  const invitation = readInvitation(options.invitation);
  if (!invitation) return null;
  const joining: ChangeOptions = {
    ...peer,
    decisions,
    proveDomains: (claims) => proveDomains(claims, options.identity.peerId, domains),
    ...(progress && { progress: (change: ChangeEvent) => progress({ event: 'change', change }) }),
  };
  const party = partyOfChange(joining);
  await retrying(party, () => options.client.registerPeer(options.peerName));
  const meeting = await look(party, invitation.negotiationId);
  if (inviterIn(party.primitives, meeting, invitation) === null) return null;
  if (!node) {
    throw new PanoramixError(
      'config-invalid',
      'this is a mixnet for mail: mixnet.roles is missing',
    );
  }
  return await joinChange({ ...joining, invitation: options.invitation, node });
}

/** What is known of who invited us. */
interface Inviter {
  readonly peerId: string;
  readonly mixnetId: string;
  readonly statement: Statement;
}

/** Who proves that he holds our token, in a word about a mixnet that is there. */
function inviterIn(
  primitives: Primitives,
  meeting: Meeting,
  invitation: Invitation,
): Inviter | null {
  for (const statement of meeting.statements) {
    const proofs = statement.body.meta['invitations'];
    const data = statement.body.data as { peer_id?: unknown; log?: unknown } | null;
    if (!Array.isArray(proofs) || typeof data?.peer_id !== 'string' || !data.log) continue;
    const { signer } = statement;
    if (proofs.some((proof) => holdsInvitation(primitives, invitation, signer, proof))) {
      return { peerId: signer, mixnetId: data.peer_id, statement };
    }
  }
  return null;
}

/** Says what our node is to be, and proves that we are invited. */
async function join(
  party: Party,
  meeting: Meeting,
  inviter: Inviter,
  invitation: Invitation,
  own: LogNode,
): Promise<void> {
  const ground = await readGround(party, inviter.mixnetId);
  if (!ground.standing.owners.includes(inviter.peerId)) {
    throw new PanoramixError('agreement-refused', 'who invited us does not own the mixnet');
  }
  if (lastWord(meeting, party.peerId)) return;
  const { info } = inviter.statement.body;
  await sayWord(
    party,
    meeting,
    { data: { peer_id: inviter.mixnetId, node: own }, info: info as object },
    { invitation: proveInvitation(party.primitives, invitation, party.peerId) },
  );
}

/** Where the inviter says that it is agreed on: our part in it. Null while it goes on. */
async function takePart(
  options: JoinChangeOptions,
  party: Party,
  file: MixnetStateFile,
  joining: Meeting,
  inviter: Inviter,
  own: LogNode,
): Promise<Mixnet | null> {
  const aborted = readAbort(joining, (signer) => signer === inviter.peerId);
  if (aborted)
    throw new PanoramixError('agreement-aborted', `it was taken back: ${aborted.reason}`);
  const negotiationId = lastWord(joining, inviter.peerId)?.body.meta.next_negotiation_id;
  if (negotiationId === undefined) return null;
  try {
    const answered = await answerChange({
      party,
      options,
      file,
      mixnetId: inviter.mixnetId,
      negotiationId,
      alsoRefuse: (after) => refuseWithout(after, own),
    });
    if (answered === 'nothing-yet' || answered.outcome !== 'applied') return null;
  } catch (thrown) {
    // Another change came first: the inviter proposes anew, and says where; or he has stopped, and says that.
    const { code } = asPanoramixError(thrown);
    if (code === 'consensus-not-last' || code === 'agreement-aborted') return null;
    throw thrown;
  }
  return await finish(party, file, inviter, negotiationId);
}

function refuseWithout({ entry, owners }: Standing, own: LogNode): string | null {
  if (!owners.includes(own.owner)) return 'owner-missing';
  const node = entry.nodes.find(({ peer_id: id }) => id === own.peer_id);
  return JSON.stringify(node) === JSON.stringify(own) ? null : 'own-node-changed';
}

async function finish(
  party: Party,
  file: MixnetStateFile,
  { peerId: coordinator, mixnetId }: Inviter,
  negotiationId: string,
): Promise<Mixnet> {
  const { standing } = await readGround(party, mixnetId);
  const meeting = await look(party, negotiationId);
  const next = meeting.consensus
    ? nextNegotiation(meeting, meeting.consensus.body, party.primitives)
    : null;
  if (next === null) {
    throw new PanoramixError('agreement-foreign', 'nobody named the negotiation that follows');
  }
  const { invitation: _, ...kept } = file.read() as MixnetState;
  const state = file.write({
    ...kept,
    coordinator,
    mixnet_id: mixnetId,
    mixnet_url: `${party.client.url}panoramix/peers/${mixnetId}/`,
    nodes: standing.entry.nodes.map((node) => node.peer_id),
    next_negotiation_id: next,
    signed: {},
  });
  return mixnetOf(state) as Mixnet;
}

function checkState(options: JoinChangeOptions, state: MixnetState, invitation: Invitation): void {
  const isOurs =
    state.peer_id === options.identity.peerId && state.catalog_url === options.client.url;
  if (isOurs && state.founding_negotiation_id === invitation.negotiationId) return;
  throw new PanoramixError(
    'config-invalid',
    `${options.statePath} belongs to another key, controller or invitation; move it away to start anew`,
  );
}
