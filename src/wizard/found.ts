/**
 * The coordinator's way to a mixnet (D4.2 §5.1): register, invite, wait until all have joined, found,
 * name the nodes. Killed at any point and started again with the same options, it goes on.
 */
import { signaturesNeeded } from '../api/peer.ts';
import { retrying, type Party } from '../client/agree.ts';
import { createToken } from '../client/invitation.ts';
import { PanoramixError } from '../errors.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import type { FoundingTermsText } from './decisions.ts';
import { FoundingCoordinator } from './founding-coordinator.ts';
import { MovedOn } from './move.ts';
import { agreeOnNodes } from './name-nodes.ts';
import { nodeOf, refuseForMail, type Ground } from './nodes.ts';
import { partyOf, type FoundOptions, type FoundPeerOptions, type Mixnet } from './options.ts';
import { applyFounding, mixnetOf, settle } from './settle.ts';
import { Talk } from './talk.ts';

/**
 * Founds a mixnet with those who hold the invitations, and names its nodes.
 * @returns once the controller has taken both; at once where the state file says that it has
 * @throws PanoramixError `config-invalid` before anything is sent, `agreement-aborted` and others with who and why
 */
export async function foundMixnet(options: FoundOptions): Promise<Mixnet> {
  checkOptions(options);
  const finished = mixnetOf(new MixnetStateFile(options.statePath).read());
  if (finished) return finished;
  const refuse = ({ params }: FoundingTermsText): string | null =>
    refuseForMail(params, options.traffic.mixes_per_route);
  const { party, file, ground } = await foundPeer({ ...options, refuse });
  return await agreeOnNodes(party, options, file, ground, {
    terms: {
      traffic: options.traffic,
      snapshot_lifetime_ms: options.snapshotLifetimeMs,
      key_lifetime_ms: options.keyLifetimeMs,
    },
    nextNegotiationId: await openSnapshots(party, file, ground),
  });
}

/** A combined peer that stands, seen by one of its owners. */
export interface Founded {
  readonly party: Party;
  readonly file: MixnetStateFile;
  readonly ground: Ground;
}

/** Founds the combined peer with those who hold the invitations. Whether the terms can work is checked before. */
export async function foundPeer(options: FoundPeerOptions): Promise<Founded> {
  const party = partyOf(options);
  const file = new MixnetStateFile(options.statePath);
  await retrying(party, () => options.client.registerPeer(options.peerName));
  options.progress?.({ event: 'registered', peerId: party.peerId });

  checkState(options, file.read() ?? (await prepare(options, file)));
  for (;;) {
    const state = file.read() as MixnetState;
    const coordinator = new FoundingCoordinator(
      options,
      state,
      (about) => new Talk(party, options, file, about),
    );
    const { talk, steps, invitations } = coordinator;
    talk.tell({ event: 'invitations', invitations });
    try {
      const agreed = await settle(talk, 'founding', state.founding_negotiation_id, steps);
      return { party, file, ground: await applyFounding(party, options, file, agreed) };
    } catch (error) {
      if (!(error instanceof MovedOn)) throw error;
    }
  }
}

/** Opens the negotiation of the first snapshot, among the owners and by their rule. */
async function openSnapshots(party: Party, file: MixnetStateFile, ground: Ground): Promise<string> {
  const opened = file.read()?.proposed_negotiation_id;
  if (opened !== undefined) return opened;
  const { owners, rule } = ground;
  const among = { signers: owners, needed: signaturesNeeded(rule, owners.length) };
  const id = await retrying(party, () => party.client.createNegotiation(among));
  file.update({ proposed_negotiation_id: id });
  return id;
}

/** Opens the first two negotiations and draws the tokens, before anybody is told of them. */
async function prepare(options: FoundPeerOptions, file: MixnetStateFile): Promise<MixnetState> {
  const party = partyOf(options);
  const open = (): Promise<string> => retrying(party, () => options.client.createNegotiation());
  return file.write({
    version: 1,
    catalog_url: options.client.url,
    peer_id: party.peerId,
    coordinator: party.peerId,
    founding_negotiation_id: await open(),
    log_negotiation_id: await open(),
    tokens: Array.from({ length: options.invitations }, () => createToken(options.primitives)),
    signed: {},
  });
}

function checkOptions(options: FoundOptions): void {
  const refused = refuseForMail(options.params, options.traffic.mixes_per_route);
  if (refused !== null) throw new PanoramixError('config-invalid', refused);
  nodeOf(options.identity.peerId, options.node);
}

function checkState(options: FoundPeerOptions, state: MixnetState): void {
  if (state.peer_id !== options.identity.peerId || state.catalog_url !== options.client.url) {
    throw new PanoramixError(
      'config-invalid',
      `${options.statePath} belongs to another key or controller; move it away to start anew`,
    );
  }
  if (state.tokens?.length !== options.invitations) {
    throw new PanoramixError(
      'config-invalid',
      `${options.statePath} was begun with ${state.tokens?.length ?? 0} invitations, not ${options.invitations}`,
    );
  }
}
