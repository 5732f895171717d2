/** What the wizard tells while it changes a mixnet, and how that ends. */
import type { ChangeLine } from './change-describe.ts';

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
