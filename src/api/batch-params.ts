/**
 * `endpoint_params` of batch endpoints (design §7, mixing strategies), opaque to the controller like
 * those of continuous ones. A gateway lists the links of its chain, each with its own mix key, in the
 * owners' sorted order; an endpoint that mixes by itself has a mix key of its own.
 */
import { z } from 'zod';
import { fromHex, toHex } from '../bytes.ts';
import { canonicalText, parseStrict } from './canonical.ts';
import { SIGNERS_MAX } from './contribution.ts';
import { endpointId, isSortedSet, peerId } from './fields.ts';

const group = z.enum(['X25519', 'P-224']);
const publicKey = z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{58})$/);
/** A day: whoever waits longer may as well be told that nothing comes. */
const WAIT_MS_MAX = 86_400_000;

const gatewayShape = z.strictObject({
  strategy: z.literal('batch'),
  group,
  /** Longest wait, ms, from the first message on; then owners fill up with dummies of their own. */
  wait_ms: z.int().min(1000).max(WAIT_MS_MAX).optional(),
  /** One link per owner, sorted by its peer: packets pass them in this order. */
  links: z
    .array(z.strictObject({ peer_id: peerId, endpoint_id: endpointId, public: publicKey }))
    .min(1)
    .max(SIGNERS_MAX)
    .refine((links) => isSortedSet(links.map((link) => link.peer_id)), 'not sorted'),
});
const mixShape = z.strictObject({
  strategy: z.literal('batch'),
  group,
  wait_ms: z.int().min(1000).max(WAIT_MS_MAX).optional(),
  public: publicKey,
});

/** One owner's place in a chain: its own endpoint, and the key that peels there. */
export interface BatchLink {
  readonly peerId: string;
  readonly endpointId: string;
  readonly publicKey: Uint8Array;
}

interface Common {
  readonly group: 'X25519' | 'P-224';
  /** Null: a cycle waits for `size_min` messages, however long. */
  readonly waitMs: number | null;
}

/** Parameters of a batch endpoint: a gateway with its links, or one that mixes by itself. */
export type BatchParams = Common &
  (
    | { readonly kind: 'gateway'; readonly links: readonly BatchLink[] }
    | { readonly kind: 'mix'; readonly publicKey: Uint8Array }
  );

/** The string that goes into `endpoint_params`. */
export function encodeBatchParams(params: BatchParams): string {
  const { group: of, waitMs } = params;
  const common = { strategy: 'batch', group: of, ...(waitMs !== null && { wait_ms: waitMs }) };
  if (params.kind === 'mix') return canonicalText({ ...common, public: toHex(params.publicKey) });
  const links = params.links.map((link) => ({
    peer_id: link.peerId,
    endpoint_id: link.endpointId,
    public: toHex(link.publicKey),
  }));
  return canonicalText({ ...common, links });
}

/** What `encodeBatchParams` wrote; null for anything else. */
export function decodeBatchParams(text: string): BatchParams | null {
  const parsed = parseStrict(text);
  const shape = z.union([gatewayShape, mixShape]).safeParse(parsed.ok ? parsed.value : null);
  if (!shape.success || canonicalText(shape.data) !== text) return null;
  const { group: of, wait_ms: waitMs = null } = shape.data;
  const common = { group: of, waitMs };
  if ('public' in shape.data) {
    const key = keyOf(of, shape.data.public);
    return key && { ...common, kind: 'mix', publicKey: key };
  }
  const links: BatchLink[] = [];
  for (const link of shape.data.links) {
    const key = keyOf(of, link.public);
    if (key === null) return null;
    links.push({ peerId: link.peer_id, endpointId: link.endpoint_id, publicKey: key });
  }
  return { ...common, kind: 'gateway', links };
}

function keyOf(of: 'X25519' | 'P-224', hex: string): Uint8Array | null {
  const key = fromHex(hex);
  return key?.length === (of === 'X25519' ? 32 : 29) ? key : null;
}
