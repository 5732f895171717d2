/**
 * What the wizards are told, and what they tell while they work. Everything that a dialogue would ask is
 * an option, so that machines can run them; the dialogue and the command line stand above.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControllerClient } from '../client/controller.ts';
import type { Party } from '../client/agree.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { StopTerms } from '../mixnet/batch-stops.ts';
import type { LogNode, PacketParams, TrafficText } from '../mixnet/directory-texts.ts';
import type { Rule } from '../api/peer.ts';
import type { GatewayTerms } from '../mixer/batch/creation.ts';
import type { ChangeEvent } from './change-events.ts';
import type { Decisions, Difference, FoundingTermsText, Stage } from './decisions.ts';
import type { DomainFinding, DomainOptions } from './domain-proof.ts';

const POLL_MS_DEFAULT = 1_000;

/** What every wizard needs, whatever the mixnet is for. */
export interface PeerOptions {
  /** The controller on which the owners meet, with the peer's own key. */
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly primitives: Primitives;
  /** The state file (`mixnet.json` in the data directory); created 0600. */
  readonly statePath: string;
  /** Under which the peer is registered. */
  readonly peerName: string;
  readonly progress?: (event: WizardEvent) => void;
  /** Who decides; default `decideByOptions()`. */
  readonly decisions?: Decisions;
  /** After so long the coordinator is asked about who is missing; default 5 minutes. */
  readonly patienceMs?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  /** Pause between two looks at the controller; default 1 s. */
  readonly pollMs?: number;
  /** Stops the wizard between two steps; a later run goes on from there. */
  readonly signal?: AbortSignal;
}

/** What both wizards of a mixnet for mail need. */
export interface WizardOptions extends PeerOptions {
  /** What this peer's node is to be. */
  readonly node: NodeWish;
  /** How the others' domains are looked up, and for which the operator vouches. */
  readonly domains?: DomainOptions;
}

/** What a peer asks for its node. Domains: A-labels; upper case is lowered. */
export interface NodeWish {
  readonly roles: readonly ('mix' | 'gateway')[];
  readonly domains: readonly string[];
  /** Share among the gateways' exits; default 1. */
  readonly weight?: number;
}

/** What the coordinator of any mixnet proposes. */
export interface FoundPeerOptions extends PeerOptions {
  readonly mixnetName: string;
  readonly params: PacketParams;
  /** Other owners to invite. */
  readonly invitations: number;
  /** Whose signatures later changes need; default more than half. */
  readonly rule?: Rule;
  /** Why such terms are of no use to this kind of mixnet, as a sentence, or null. */
  readonly refuse?: (terms: FoundingTermsText) => string | null;
}

/** What the coordinator of a mixnet for mail proposes. */
export interface FoundOptions extends FoundPeerOptions, WizardOptions {
  readonly traffic: TrafficText;
  readonly snapshotLifetimeMs: number;
  /** How long a node uses a mix key. */
  readonly keyLifetimeMs: number;
}

/** What the contributor to any mixnet brings. */
export interface JoinPeerOptions extends PeerOptions {
  /** `negotiation|token`, as the coordinator handed it over. */
  readonly invitation: string;
  /** Where it is known what the mixnet is for: as the coordinator's. */
  readonly refuse?: (terms: FoundingTermsText) => string | null;
}

/** What the contributor to a mixnet for mail brings. */
export interface JoinOptions extends JoinPeerOptions, WizardOptions {}

/** The coordinator's proposal, as a contributor sees it. */
export interface ProposedTerms {
  readonly coordinator: string;
  readonly mixnetName: string;
  readonly params: PacketParams;
  readonly rule: Rule;
}

/** Where a wizard stands; one event may come several times. */
export type WizardEvent =
  | { readonly event: 'registered'; readonly peerId: string }
  /** Why something is tried again, such as a controller that does not answer; null once it went through. */
  | { readonly event: 'troubled'; readonly trouble: string | null }
  /** Strings to hand over, one to each invitee. They are secrets until used. */
  | { readonly event: 'invitations'; readonly invitations: readonly string[] }
  | { readonly event: 'proposed'; readonly terms: ProposedTerms }
  | { readonly event: 'joined'; readonly joined: number; readonly invited: number }
  | { readonly event: 'founded'; readonly mixnetId: string; readonly mixnetUrl: string }
  | { readonly event: 'nodes-named'; readonly named: number; readonly owners: number }
  /** Some pairs of gateways have fewer mixes of other owners than a route needs (design §10). */
  | { readonly event: 'few-mixes'; readonly available: number; readonly needed: number }
  | { readonly event: 'nodes-agreed'; readonly nodes: readonly LogNode[] }
  /** The gateway of a batch mixnet takes messages. */
  | { readonly event: 'gateway-opened'; readonly terms: GatewayTerms }
  /** Our stop of a mixnet of random routes takes messages. */
  | { readonly event: 'stop-opened'; readonly terms: StopTerms }
  | NegotiationEvent;

/** How a negotiation goes, in the words of D4.2 §5.2; each comes once for each thing that it tells of. */
export type NegotiationEvent =
  /** "Your initial proposal is contribution: 21", "Sent contribution 28". */
  | {
      readonly event: 'sent';
      readonly stage: Stage;
      readonly what: 'proposal' | 'answer' | 'counter' | 'accept' | 'abort';
      readonly contribution: number;
    }
  /** "Invitations pending: …": those that nobody has used yet. */
  | { readonly event: 'invitations-pending'; readonly invitations: readonly string[] }
  /** "Contribution pending from: …": who has not answered the present proposal. */
  | {
      readonly event: 'contribution-pending';
      readonly stage: Stage;
      readonly from: readonly string[];
    }
  /** "All invited peers have joined", "All peer owners have agreed": the accepted text is sent next. */
  | { readonly event: 'all-agreed'; readonly stage: Stage }
  /** "No consensus yet." We have signed, others have not. */
  | { readonly event: 'no-consensus-yet'; readonly stage: Stage }
  /** "Consensus reached: …", "Applying consensus." */
  | { readonly event: 'consensus'; readonly stage: Stage; readonly consensusId: string }
  /** The coordinator: somebody proposes other values, and what became of it. */
  | {
      readonly event: 'counter';
      readonly stage: Stage;
      readonly from: string;
      readonly differences: readonly Difference[];
      readonly outcome: 'adopted' | 'kept' | 'unusable';
    }
  /** The coordinator goes on without these. */
  | { readonly event: 'without'; readonly stage: Stage; readonly peers: readonly string[] }
  /** The others have named their nodes without us, who did not answer: a later change may add ours. */
  | { readonly event: 'left-out'; readonly nodes: readonly LogNode[] }
  /** Our own domains that DNS does not show as ours: others will ask. */
  | { readonly event: 'own-domains'; readonly domains: readonly DomainFinding[] }
  /** On the way into a mixnet that is there (change-options.ts). */
  | { readonly event: 'change'; readonly change: ChangeEvent };

/** What a wizard leaves; all of it is in the state file too. */
export interface Mixnet {
  readonly mixnetId: string;
  /** What users are given (D4.2 §5.2). */
  readonly mixnetUrl: string;
  readonly nodes: readonly string[];
  /** Where the nodes agree on the first snapshot. */
  readonly nextNegotiationId: string;
}

/** The wizard as a party of its negotiations. */
export function partyOf(options: PeerOptions): Party {
  const { signal } = options;
  return {
    client: options.client,
    primitives: options.primitives,
    peerId: options.identity.peerId,
    now: options.now ?? Date.now,
    pollMs: options.pollMs ?? POLL_MS_DEFAULT,
    wait: (delayMs) => sleep(delayMs, undefined, signal && { signal }),
    troubled: (trouble) =>
      options.progress?.({ event: 'troubled', trouble: trouble?.message ?? null }),
  };
}
