/** What the wizard is told when it changes a mixnet, and what it tells while it works. */
import type { Decisions } from './decisions.ts';
import type { DomainFinding } from './domain-proof.ts';
import type { ChangeLine } from './change-describe.ts';
import type { NodeWish, PeerOptions } from './options.ts';

/** What proposers, reviewers and guests of a change need. */
export interface ChangeOptions extends Omit<PeerOptions, 'progress' | 'decisions'> {
  readonly decisions: Decisions;
  /** What DNS says of domains that are new in the log, or move to another node (design §8). */
  readonly proveDomains: (
    claims: readonly { readonly domain: string; readonly peerId: string }[],
  ) => Promise<readonly DomainFinding[]>;
  readonly progress?: (event: ChangeEvent) => void;
  /** How long guests are waited for before somebody is asked whether to go on; default 10 min. */
  readonly patienceMs?: number;
}

/** What somebody who joins a mixnet that is there brings. */
export interface JoinChangeOptions extends ChangeOptions {
  /** `negotiation|token`, as the proposer handed it over. */
  readonly invitation: string;
  readonly node: NodeWish;
}

/** Where a change stands; one event may come several times. */
export type ChangeEvent =
  /** Strings to hand over, one to each new owner. They are secrets until used. */
  | { readonly event: 'change-invitations'; readonly invitations: readonly string[] }
  | { readonly event: 'change-joined'; readonly joined: number; readonly invited: number }
  /** Our own is before the others, or another's before us. */
  | {
      readonly event: 'change-proposed';
      readonly negotiationId: string;
      readonly proposer: string;
      readonly lines: readonly ChangeLine[];
    }
  | { readonly event: 'change-signed'; readonly signed: number; readonly needed: number }
  | { readonly event: 'change-refused'; readonly by: string; readonly reason: string }
  /** Another change came first: the same wish is proposed again on top of it. */
  | { readonly event: 'change-rebased'; readonly negotiationId: string }
  /** Some pairs of gateways have fewer mixes of other owners than a route needs (design §10). */
  | { readonly event: 'few-mixes'; readonly available: number; readonly needed: number }
  | { readonly event: 'change-applied'; readonly mixnetId: string; readonly logHead: string };

/** How a run of the wizard ended. */
export type ChangeOutcome =
  /** The log says it now. */
  | { readonly outcome: 'applied'; readonly mixnetId: string }
  /** We have signed; others are still to. */
  | { readonly outcome: 'signed'; readonly signed: number; readonly needed: number }
  /** The log says it already. */
  | { readonly outcome: 'nothing-to-do' };
