/**
 * A batch mixnet by wizard (D4.2 §5): found or join the combined peer, then open its gateway with a link of
 * each owner. A contributor needs the controller's URL and the invitation alone: what kind of mixnet it is
 * stands in the coordinator's next proposal.
 */
import { canonicalText } from '../api/canonical.ts';
import { readMeeting, lastWord } from '../client/meeting.ts';
import { retrying } from '../client/agree.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  CREATE_ENDPOINT,
  gatewayReading,
  refuseGatewayTerms,
  type GatewayTerms,
} from '../mixer/batch/creation.ts';
import { openGateway } from '../mixer/batch/opening.ts';
import { openStops, STOPS_READING } from '../mixer/batch/stop-opening.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import { BATCH, BATCH_GATEWAY } from '../api/endpoint.ts';
import { STOPS_PER_ROUTE, type StopTerms } from '../mixnet/batch-stops.ts';
import { RECIPIENT_BYTES } from '../mixnet/batch-peel.ts';
import { sphinxParamsOf, type PacketParams } from '../mixnet/directory-texts.ts';
import { refuseParams, refusePath } from '../sphinx/index.ts';
import { messageBytesMax } from '../sphinx/payload.ts';
import type { FoundingTermsText } from './decisions.ts';
import type { DomainOptions } from './domain-proof.ts';
import { EndpointTalk } from './endpoint-talk.ts';
import { joinIfLive } from './change-join.ts';
import { foundPeer, type Founded } from './found.ts';
import { joinPeer } from './join.ts';
import type {
  FoundPeerOptions,
  JoinPeerOptions,
  Mixnet,
  NodeWish,
  PeerOptions,
} from './options.ts';
import { agreeOnNodes } from './name-nodes.ts';
import { mixnetOf } from './settle.ts';

/** A dummy's message: 32 bytes; what carries less is of no use to anybody. */
const MESSAGE_BYTES_MIN = 32;

/** What the wizards of a batch mixnet need besides. */
export interface BatchWizardOptions {
  /** Holds the keys of our link. */
  readonly dataDir: string;
  readonly log: Log;
}

/** A batch mixnet that takes messages. */
export interface BatchMixnetFound {
  readonly mixnetId: string;
  /** What users are given (D4.2 §5.2). */
  readonly mixnetUrl: string;
  /** The gateway, or our own stop. */
  readonly endpointId: string;
}

/** What the coordinator proposes: a chain behind a gateway, or a stop of each owner. */
export type BatchProposal =
  | { readonly gateway: GatewayTerms; readonly stops?: never }
  | { readonly gateway?: never; readonly stops: StopTerms };

/**
 * The coordinator's way.
 * @throws PanoramixError `config-invalid` before anything is sent, `agreement-refused`
 */
export async function foundBatch(
  options: Omit<FoundPeerOptions, 'rule'> & BatchWizardOptions & BatchProposal,
): Promise<BatchMixnetFound> {
  const { gateway, stops } = options;
  const owners = options.invitations + 1;
  const refused =
    (gateway ? refuseGatewayTerms(gateway) : refuseStops(stops)) ??
    refuseChain(options.params, gateway ? owners : Math.min(owners, STOPS_PER_ROUTE));
  if (refused !== null) throw new PanoramixError('config-invalid', refused);
  const finished = batchOf(new MixnetStateFile(options.statePath).read());
  if (finished) return finished;
  // Every step of an endpoint needs all owners; a rule of fewer would promise what cannot be.
  const refuse = ({ params, rule }: FoundingTermsText): string | null =>
    rule === 'all'
      ? refuseChain(params, gateway ? owners : Math.min(owners, STOPS_PER_ROUTE))
      : 'a batch mixnet needs all its owners, hence the rule "all"';
  const founded = await foundPeer({ ...options, rule: 'all', refuse });
  return gateway
    ? await openTogether(options, founded, gateway)
    : await openOwnStop(options, founded, stops);
}

/**
 * A contributor's way into whatever mixnet he is invited to.
 * @param options.node what his node is to be, where it is a mixnet for mail
 */
export async function joinAny(
  options: JoinPeerOptions &
    BatchWizardOptions & { readonly node?: NodeWish; readonly domains?: DomainOptions },
): Promise<Mixnet | BatchMixnetFound> {
  const state = new MixnetStateFile(options.statePath).read();
  const finished = batchOf(state) ?? mixnetOf(state);
  if (finished) return finished;
  const joined = await joinIfLive(options);
  if (joined) return joined;
  const founded = await joinPeer(options);
  const next = await whatNext(founded);
  if (next === BATCH_GATEWAY) return await openTogether(options, founded, null);
  if (next === BATCH) return await openOwnStop(options, founded, null);
  const { node } = options;
  if (!node) {
    throw new PanoramixError(
      'config-invalid',
      'this is a mixnet for mail: mixnet.roles is missing',
    );
  }
  const { party, file, ground } = founded;
  return await agreeOnNodes(party, { ...options, node }, file, ground);
}

/** Why packets of these parameters cannot pass a chain of so many links, with the sum, or null. */
export function refuseChain(params: PacketParams, links: number): string | null {
  const sphinx = sphinxParamsOf(params);
  const refused = refuseParams(sphinx) ?? refusePath(sphinx, links, 'forward');
  if (refused !== null) return refused;
  const bytes = messageBytesMax(sphinx.bodyLen, RECIPIENT_BYTES);
  if (bytes >= MESSAGE_BYTES_MIN) return null;
  return `BODY_LEN ${sphinx.bodyLen} leaves ${bytes} bytes for a message, fewer than ${MESSAGE_BYTES_MIN}`;
}

/** What a finished state file says of a batch mixnet; null while it is not finished, or none. */
export function batchOf(state: MixnetState | null): BatchMixnetFound | null {
  const endpointId = state?.batch?.endpoint_id;
  if (!state?.mixnet_id || !state.mixnet_url || !endpointId) return null;
  return { mixnetId: state.mixnet_id, mixnetUrl: state.mixnet_url, endpointId };
}

async function openTogether(
  options: PeerOptions & BatchWizardOptions,
  founded: Founded,
  proposal: GatewayTerms | null,
): Promise<BatchMixnetFound> {
  const { party, file, ground } = founded;
  const { mixnetId, owners, coordinator, params } = ground;
  const { client, identity, primitives, dataDir, log } = options;
  const refuse = (wanted: GatewayTerms): string | null =>
    refuseGatewayTerms(wanted) ?? refuseChain(params, owners.length);
  const talk = new EndpointTalk(options, founded, beginSteps(founded), {
    reading: gatewayReading(mixnetId),
    proposal,
    refuse,
    text: ({ endpointId, ...terms }) => ({
      ...terms,
      name: endpointId.replace(/_\d+$/, ''),
      type: BATCH_GATEWAY,
    }),
    merge: (terms, changes) => ({ ...terms, ...changes }),
  });
  const terms = await openGateway(
    { client, identity, primitives, dataDir, log },
    { party, file, log, owners, coordinator, onRefusal: 'stop', people: talk.people },
    {
      mixnetId,
      group: params.GROUP,
      proposal,
      refuse,
      word: (meeting) => talk.word(meeting),
    },
  );
  options.progress?.({ event: 'gateway-opened', terms });
  return finishSteps(file);
}

async function openOwnStop(
  options: PeerOptions & BatchWizardOptions,
  founded: Founded,
  proposal: StopTerms | null,
): Promise<BatchMixnetFound> {
  const { party, file, ground } = founded;
  const { mixnetId, owners, coordinator, params } = ground;
  const { client, identity, primitives, dataDir, log } = options;
  const refuse = (wanted: StopTerms): string | null =>
    refuseStops(wanted) ?? refuseChain(params, Math.min(owners.length, STOPS_PER_ROUTE));
  const talk = new EndpointTalk(options, founded, beginSteps(founded), {
    reading: STOPS_READING,
    proposal,
    refuse,
    text: (terms) => ({ ...terms, type: BATCH, description: '', waitMs: null }),
    // Stops have no dummies and no description of their own.
    merge: (terms, { sizeMin, sizeMax, public: isPublic }) => ({
      ...terms,
      sizeMin: sizeMin ?? terms.sizeMin,
      sizeMax: sizeMax ?? terms.sizeMax,
      public: isPublic ?? terms.public,
    }),
  });
  const terms = await openStops(
    { client, identity, primitives, dataDir, log },
    { party, file, log, owners, coordinator, onRefusal: 'stop', people: talk.people },
    {
      mixnetId,
      group: params.GROUP,
      proposal,
      refuse,
      word: (meeting) => talk.word(meeting),
    },
  );
  options.progress?.({ event: 'stop-opened', terms });
  return finishSteps(file);
}

/** The steps go on in the negotiation that the founding named; its id. */
function beginSteps({ file, ground }: Founded): string {
  const before = file.read() as MixnetState;
  if (before.next_negotiation_id !== undefined) return before.next_negotiation_id;
  const { coordinator } = ground;
  const negotiationId = before.log_negotiation_id as string;
  file.update({ next_negotiation_id: negotiationId, coordinator });
  return negotiationId;
}

/** The invitations have served. */
function finishSteps(file: MixnetStateFile): BatchMixnetFound {
  const { tokens: _tokens, invitation: _invitation, ...kept } = file.read() as MixnetState;
  return batchOf(file.write(kept)) as BatchMixnetFound;
}

function refuseStops(terms: StopTerms): string | null {
  const { sizeMin, sizeMax } = terms;
  return refuseGatewayTerms({
    endpointId: '',
    description: '',
    waitMs: null,
    ...terms,
    sizeMin,
    sizeMax,
  });
}

/** Type of the endpoint with which the coordinator goes on; null where it goes on with nodes. */
async function whatNext({ party, file, ground }: Founded): Promise<string | null> {
  const negotiationId = (file.read() as MixnetState).log_negotiation_id as string;
  for (;;) {
    const meeting = await retrying(party, () =>
      readMeeting(party.client, party.primitives, negotiationId),
    );
    const body = meeting.consensus?.body ?? lastWord(meeting, ground.coordinator)?.body;
    if (body) {
      if (canonicalText(body.info) !== canonicalText(CREATE_ENDPOINT)) return null;
      return String((body.data as { endpoint_type?: unknown } | null)?.endpoint_type);
    }
    await party.wait(party.pollMs);
  }
}
