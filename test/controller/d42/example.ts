/** D4.2's example requests, sent with real keys and signatures, byte by byte over HTTP: no client in between. */
import { type RequestBody, signRequest, signText } from '../../../src/api/signed.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { type PrivateController, proposalText } from '../private-controller.ts';

/** An answer: its status, and the JSON in it. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** RFC 3339 in UTC, as all times are. */
export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** SHA-256 in hex, as hashes and consensus ids are. */
export const HASH = /^[0-9a-f]{64}$/;

/** Sends a request of D4.2: its `data`, `info` and `by_consensus`, and `meta` with signature and key. */
export async function send(
  bed: PrivateController,
  line: string,
  identity: Identity,
  body: RequestBody,
): Promise<Answer> {
  const [method = '', path = ''] = line.split(' ');
  const request = signRequest(native, identity, body, { nowMs: bed.now(), catalogUrl: bed.url });
  const answer = await bed.fetch(`/panoramix${path}`, { method, body: JSON.stringify(request) });
  return { status: answer.status, body: answer.body };
}

/** Reads what everybody may read. */
export async function get(bed: PrivateController, path: string): Promise<Answer> {
  const { status, body } = await bed.fetch(`/panoramix${path}`);
  return { status, body };
}

/** `data` of an answer. */
export function dataOf({ body }: Answer): Record<string, unknown> {
  return (body as { data: Record<string, unknown> }).data;
}

/** Begins a negotiation (§6.2.1); its id. */
export async function begin(bed: PrivateController, identity: Identity): Promise<string> {
  const info = { resource: 'negotiation', operation: 'create' };
  return String(dataOf(await send(bed, 'POST /negotiations', identity, { data: {}, info }))['id']);
}

/** Contributes a text (§6.2.3). */
export async function contribute(
  bed: PrivateController,
  identity: Identity,
  negotiationId: string,
  text: string,
  path = '/contributions/',
): Promise<Answer> {
  const signature = signText(native, identity, text);
  return await send(bed, `POST ${path}`, identity, {
    data: { negotiation_id: negotiationId, text, signature },
    info: { resource: 'contribution', operation: 'create' },
  });
}

/** What `by_consensus` is after all of them have agreed on a body. */
export async function agree(
  bed: PrivateController,
  identities: readonly Identity[],
  body: { readonly data: unknown; readonly info: unknown },
) {
  const [first] = identities as [Identity];
  const id = await begin(bed, first);
  const signers = identities.map((identity) => identity.peerId).toSorted();
  const text = proposalText(id, body, { accept: true, signers });
  for (const identity of identities) await contribute(bed, identity, id, text);
  const { consensus } = dataOf(await get(bed, `/negotiations/${id}`));
  return { consensus_id: String(consensus), consensus_type: 'structural' as const };
}
