/** What the wizard is told when it changes a mixnet. */
import type { Decisions } from './decisions.ts';
import type { DomainFinding } from './domain-proof.ts';
import type { ChangeEvent } from './change-events.ts';
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
