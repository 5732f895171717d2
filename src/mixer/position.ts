/**
 * What a node says of itself in a snapshot: where it is reached, whether it takes new routes, and under which
 * keys. Signed once for each number: two different entries for one number leave a node out.
 */
import { toHex } from '../bytes.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { nodeByPeer, type Directory } from '../mixnet/directory.ts';
import { signEntry, type SignedEntry } from '../mixnet/directory-texts.ts';

/** What a node says of itself in its entry. */
export interface OwnPosition {
  /** Where other nodes post to it. */
  readonly controllerUrl: string;
  readonly paused: boolean;
  readonly endpoints: readonly {
    readonly endpointId: string;
    readonly publicKey: Uint8Array;
    readonly opensMs: number;
    readonly closesMs: number;
  }[];
}

/** The own entry for one number. */
export function ownEntry(
  primitives: Primitives,
  identity: Identity,
  of: { readonly mixnetId: string; readonly number: number },
  own: OwnPosition,
): SignedEntry {
  return signEntry(primitives, identity, {
    mixnet: of.mixnetId,
    number: of.number,
    peer_id: identity.peerId,
    controller_url: own.controllerUrl,
    paused: own.paused,
    endpoints: own.endpoints.map((endpoint) => ({
      endpoint_id: endpoint.endpointId,
      public: toHex(endpoint.publicKey),
      opens: new Date(endpoint.opensMs).toISOString(),
      closes: new Date(endpoint.closesMs).toISOString(),
    })),
  });
}

/**
 * Whether the directory lacks something of what a node says of itself now and senders need while it holds. A key
 * that opens later, or one too many that has ended since, goes with the next snapshot in its turn.
 */
export function lacksOwn(directory: Directory, peerId: string, own: OwnPosition): boolean {
  const said = nodeByPeer(directory, peerId);
  if (!said) return false;
  const shown = new Set(said.endpoints.map((one) => one.endpointId + toHex(one.publicKey)));
  return (
    said.controllerUrl !== own.controllerUrl ||
    said.paused !== own.paused ||
    // Left out for its URL it shows none, however often it asks.
    (said.leftOut === undefined &&
      own.endpoints.some(
        (one) =>
          one.opensMs < directory.validUntilMs && !shown.has(one.endpointId + toHex(one.publicKey)),
      ))
  );
}
