/**
 * `endpoint_params`: a string of canonical JSON that says which key peels an endpoint's packets and
 * how they are mixed (design §6). Opaque to the controller; nodes and clients read it.
 */
import { z } from 'zod';
import { fromHex, toHex } from '../bytes.ts';
import { canonicalText, parseStrict } from './canonical.ts';

const shape = z.strictObject({
  group: z.enum(['X25519', 'P-224']),
  /** Mix key, an element of the group. */
  public: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{58})$/),
  strategy: z.literal('continuous'),
});

/** A continuous endpoint's parameters. */
export interface EndpointParams {
  readonly group: 'X25519' | 'P-224';
  /** 32 bytes (X25519) or 29 (P-224, compressed). */
  readonly publicKey: Uint8Array;
  readonly strategy: 'continuous';
}

/** The string that goes into `endpoint_params`. */
export function encodeEndpointParams(params: EndpointParams): string {
  const { group, publicKey, strategy } = params;
  return canonicalText({ group, public: toHex(publicKey), strategy });
}

/** What `encodeEndpointParams` wrote; null for anything else. */
export function decodeEndpointParams(text: string): EndpointParams | null {
  const parsed = parseStrict(text);
  const params = shape.safeParse(parsed.ok ? parsed.value : null);
  if (!params.success || canonicalText(params.data) !== text) return null;
  const publicKey = fromHex(params.data.public);
  if (publicKey?.length !== (params.data.group === 'X25519' ? 32 : 29)) return null;
  return { group: params.data.group, publicKey, strategy: params.data.strategy };
}
