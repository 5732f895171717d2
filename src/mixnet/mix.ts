/**
 * What a node does with one packet: forward it after its delay, keep the fragment that it carries,
 * let cover end here, take the answer to one of its own, or drop it for a named reason. Pure, in two steps, for the order of work is
 * lengths, point, MAC, replay tag, commit, body: `openHeader` is cheap and comes before any
 * look at tags, `openBody` does the wide-block work, and only for a packet not seen before.
 */
import { wipe } from '../crypto/primitives.ts';
import type { Drop, DropReason, PeeledHeader, Sphinx } from '../sphinx/index.ts';
import { replyBlockOf } from './ack.ts';
import { destinationOf } from './cover.ts';
import { delayMsMax } from './delay.ts';
import { nodeByAddress, type Directory } from './directory.ts';
import { decodeFragment, type Fragment } from './fragment.ts';
import type { Geometry } from './geometry.ts';

/** Why a packet ends here: the words of `sphinx`, and those of a node that reads its routing. */
export type MixDropReason =
  | DropReason
  | 'replayed'
  | 'journal-full'
  | 'message-full'
  | 'message-mismatch'
  | 'message-expired'
  | 'overloaded'
  | 'reply-unknown'
  | 'reply-malformed'
  | 'unknown-next-hop'
  | 'delay-too-long'
  | 'routing-unsupported'
  | 'not-an-exit'
  | 'not-a-mix'
  | 'dest-unknown'
  | 'fragment-malformed'
  | 'fragment-expired'
  | 'fragment-expiry-too-far';

export interface MixDrop {
  readonly kind: 'drop';
  readonly reason: MixDropReason;
}

/** A packet whose header was in order: `header.tag` is what the replay journal is asked about. */
export interface OpenedHeader {
  readonly kind: 'header';
  readonly header: PeeledHeader;
}

export type MixOutcome =
  | {
      readonly kind: 'forward';
      readonly packet: Uint8Array;
      /** Address of the next hop, 16 bytes. */
      readonly next: Uint8Array;
      /** When to send it on, in ms since 1970. */
      readonly dueMs: number;
    }
  | {
      readonly kind: 'fragment';
      readonly fragment: Fragment;
      /** By which it is acked; see ack.ts. */
      readonly replyBlock: Uint8Array;
    }
  | { readonly kind: 'cover'; readonly replyBlock: Uint8Array }
  /** A fragment that is too late, or too early by a wrong clock; answered like all others, `refused`. */
  | {
      readonly kind: 'untimely';
      readonly reason: 'fragment-expired' | 'fragment-expiry-too-far';
      readonly replyBlock: Uint8Array;
    }
  /** The answer to a packet of ours, or a loop that came back. */
  | Reply
  | MixDrop;

/** What comes back along one of our own reply blocks. */
export interface Reply {
  readonly kind: 'reply';
  /** By which its maker knows it, 16 bytes. */
  readonly id: Uint8Array;
  /** The body, for `readAck` with what the maker kept. */
  readonly delta: Uint8Array;
}

/** What a node knows when it judges a packet. */
export interface MixView {
  readonly sphinx: Sphinx;
  readonly geometry: Geometry;
  readonly directory: Directory;
  /** Whether the owners' log lets this node relay, */
  readonly isMix: boolean;
  /** and whether mail may end at it. */
  readonly isExit: boolean;
}

/** How far in the future a fragment's expiry may lie beyond the snapshot's: clocks and epochs. */
const EXPIRY_SLACK_MS = 24 * 3_600_000;

/** The cheap half: lengths, point, MAC, and whether the routing asks for something that we do. */
export function openHeader(
  view: MixView,
  secret: Uint8Array,
  packet: Uint8Array,
): OpenedHeader | MixDrop {
  return judgeHeader(view, view.sphinx.peelHeader(secret, packet));
}

/**
 * The costly half, for a packet that has not been seen before.
 * @param arrivedMs when it was collected; its delay counts from here
 */
export function openBody(view: MixView, header: PeeledHeader, arrivedMs: number): MixOutcome {
  return judgePayload(view, peelPayload(view.sphinx, header), arrivedMs);
}

/** What a body held: the packet to pass on, or the payload that ends here. Plain data. */
export type PeeledPayload =
  | {
      readonly kind: 'relay';
      readonly packet: Uint8Array;
      readonly next: Uint8Array;
      readonly delayMs: number;
    }
  | { readonly kind: 'payload'; readonly dest: Uint8Array; readonly message: Uint8Array }
  | Reply
  | MixDrop;

/** The work of `openBody`, without its judgement: another thread may do it. */
export function peelPayload(sphinx: Sphinx, header: PeeledHeader): PeeledPayload {
  const { routing, macKey, out, delta } = sphinx.peelBody(header);
  if (routing.kind === 'relay') {
    return { kind: 'relay', packet: out, next: routing.address, delayMs: routing.delayMs };
  }
  if (routing.kind === 'reply') {
    wipe(macKey);
    return { kind: 'reply', id: routing.id, delta };
  }
  const payload = sphinx.openForward(macKey, delta);
  wipe(macKey);
  return 'kind' in payload ? payload : { kind: 'payload', ...payload };
}

/** The judgement of `openHeader`, on what another thread may have peeled. */
export function judgeHeader(view: MixView, header: PeeledHeader | Drop): OpenedHeader | MixDrop {
  if (header.kind === 'drop') return header;
  const reason = routingReason(view, header);
  return reason === null ? { kind: 'header', header } : { kind: 'drop', reason };
}

/** The judgement of `openBody`, on what another thread may have peeled. */
export function judgePayload(view: MixView, peeled: PeeledPayload, arrivedMs: number): MixOutcome {
  if (peeled.kind === 'drop' || peeled.kind === 'reply') return peeled;
  if (peeled.kind === 'relay') {
    const { packet, next, delayMs } = peeled;
    return { kind: 'forward', packet, next, dueMs: arrivedMs + delayMs };
  }
  const destination = destinationOf(peeled.dest);
  if (destination === null) return { kind: 'drop', reason: 'dest-unknown' };
  if (destination === 'cover') {
    return { kind: 'cover', replyBlock: replyBlockOf(peeled.message, view.geometry) };
  }
  return fragmentOutcome(view, peeled.message, arrivedMs);
}

function routingReason(view: MixView, { routing }: PeeledHeader): MixDropReason | null {
  if (routing.kind === 'deliver') return view.isExit ? null : 'not-an-exit';
  if (routing.kind === 'reply') return routing.dest.length === 0 ? null : 'routing-unsupported';
  if (routing.kind !== 'relay') return 'routing-unsupported';
  if (!view.isMix) return 'not-a-mix';
  if (routing.delayMs > delayMsMax(view.directory.traffic.delayMeanMs)) return 'delay-too-long';
  return nodeByAddress(view.directory, routing.address) === null ? 'unknown-next-hop' : null;
}

function fragmentOutcome(view: MixView, message: Uint8Array, nowMs: number): MixOutcome {
  const fragment = decodeFragment(message, view.geometry);
  if (fragment === null) return { kind: 'drop', reason: 'fragment-malformed' };
  const replyBlock = replyBlockOf(message, view.geometry);
  if (fragment.expiryMs <= nowMs) {
    return { kind: 'untimely', reason: 'fragment-expired', replyBlock };
  }
  if (fragment.expiryMs > nowMs + view.directory.traffic.expiryMs + EXPIRY_SLACK_MS) {
    return { kind: 'untimely', reason: 'fragment-expiry-too-far', replyBlock };
  }
  return { kind: 'fragment', fragment, replyBlock };
}
