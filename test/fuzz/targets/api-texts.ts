/**
 * Texts of the API: requests, contributions, consensus records, founding texts, parameters of endpoints. Each
 * input goes to every reader of them; requests and contributions are signed over anything too.
 */
import { decodeBatchParams, encodeBatchParams } from '../../../src/api/batch-params.ts';
import { canonicalText, parseStrict } from '../../../src/api/canonical.ts';
import {
  checkContribution,
  contributionText,
  parseContributionText,
} from '../../../src/api/contribution.ts';
import { decodeEndpointParams, encodeEndpointParams } from '../../../src/api/endpoint-params.ts';
import { agreedPart, negotiationData, verifyConsensus } from '../../../src/api/negotiation.ts';
import { nodesJson, parseFounding, peerCreate, peerUpdate } from '../../../src/api/peer.ts';
import { signRequest, signText, verifyRequest, type RequestBody } from '../../../src/api/signed.ts';
import { fromUtf8 } from '../../../src/bytes.ts';
import { createIdentity, createMixKey } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { parseMixnet } from '../../../src/mixnet/directory-texts.ts';
import { NOW_MS, paperMixnet } from '../../mixnet/signed-directory.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import { textSeeds } from '../seeds.ts';
import { hold, lossyText, type Target } from '../target.ts';

const CATALOG = 'http://127.0.0.1:8000/';
const CONTEXT = { nowMs: NOW_MS, catalogUrl: CATALOG };
const WORDS = [
  'peer', 'endpoint', 'create', 'partial_update', 'structural', 'OPEN', 'DONE', 'batch', 'continuous', CATALOG,
  'key_data', 'catalog_url', 'more-than-half', 'X25519', 'P-224', 'a'.repeat(64), 'A'.repeat(43), 'A'.repeat(86),
]; // prettier-ignore

export function openApiTexts(): Target {
  const identity = createIdentity(native);
  const paper = paperMixnet();
  const { publicKey } = createMixKey(native, native.group('X25519'));
  const founding = JSON.parse(paper.nodes.founding.text) as { data: { key_data: string } };
  const request = { data: { name: 'a' }, info: { resource: 'peer', operation: 'create' } };
  const link = { peerId: identity.peerId, endpointId: 'ep', publicKey };
  const honest = verifyConsensus(native, paper.nodes.founding);
  if (!honest.ok) throw new Error(honest.reason);
  return {
    seeds: textSeeds([
      JSON.stringify(signRequest(native, identity, request, CONTEXT)),
      JSON.stringify(paper.nodes.founding),
      paper.nodes.founding.text,
      paper.nodes.snapshot.text,
      founding.data.key_data,
      encodeEndpointParams({ group: 'X25519', publicKey, strategy: 'continuous' }),
      encodeBatchParams({ kind: 'gateway', group: 'X25519', waitMs: 5000, links: [link] }),
      encodeBatchParams({ kind: 'mix', group: 'X25519', waitMs: null, publicKey }),
    ]),
    mutations: [...JSON_MUTATIONS, ...JSON_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 65_536,
    shortRuns: 5_000,
    run(input) {
      const text = lossyText(input);
      checkParams(text);
      checkContributions(text);
      const json = parseStrict(input);
      if (!json.ok) return;
      const verified = verifyRequest(native, json.value, CONTEXT);
      if (verified.ok) hold(verified.request.signer === identity.peerId, 'a request of another');
      const record = verifyConsensus(native, json.value);
      const isHonest = record.ok && record.consensus.text === honest.consensus.text;
      hold(!record.ok || isHonest, 'a changed record convinces');
      for (const schema of [negotiationData, nodesJson, peerCreate, peerUpdate]) {
        schema.safeParse(json.value);
      }
      checkSigned(json.value);
    },
  };

  /** Anything in place of a request, signed: what passes has the shape of one. */
  function checkShape(value: unknown): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    const signed = signRequest(native, identity, value as RequestBody, CONTEXT);
    const verified = verifyRequest(native, JSON.parse(JSON.stringify(signed)), CONTEXT);
    if (!verified.ok) return;
    const { info, by_consensus: by } = verified.request;
    hold(
      typeof info.resource === 'string' && typeof info.operation === 'string',
      'a request of no shape',
    );
    hold(by === undefined || /^[0-9a-f]{64}$/.test(by.consensus_id), 'a consensus of no shape');
  }

  /** What our own key signs: the signature is right, and all behind it must stand by itself. */
  function checkSigned(value: unknown): void {
    const again = signRequest(native, identity, { ...request, data: value }, CONTEXT);
    const verified = verifyRequest(native, JSON.parse(JSON.stringify(again)), CONTEXT);
    hold(verified.ok, 'a request that was signed is refused');
    checkShape(value);
    const text = canonicalText(value);
    const sent = {
      negotiation_id: 'A'.repeat(43),
      text,
      signer_key_id: identity.peerId,
      signature: signText(native, identity, text),
    };
    const checked = checkContribution(native, sent, NOW_MS);
    if (checked.ok)
      hold(checked.body.meta.negotiation_id === 'A'.repeat(43), 'a foreign contribution');
    // A text that one signs as a contribution must never pass as a request.
    if (!checked.ok || typeof value !== 'object' || value === null) return;
    const meta = { ...checked.body.meta, signature: sent.signature };
    hold(
      !verifyRequest(native, { ...value, meta }, CONTEXT).ok,
      'a contribution passes for a request',
    );
  }
}

function checkParams(text: string): void {
  const params = decodeEndpointParams(text);
  if (params) hold(encodeEndpointParams(params) === text, 'parameters have two texts');
  const batch = decodeBatchParams(text);
  if (batch) hold(encodeBatchParams(batch) === text, 'batch parameters have two texts');
  const terms = parseFounding(text);
  if (terms) hold(canonicalText(terms) === text, 'founding terms have two texts');
  if (parseMixnet(text)) hold(terms !== null, 'a mixnet without founding terms');
}

function checkContributions(text: string): void {
  const body = parseContributionText(text);
  if (body === null) return;
  hold(contributionText(body) === text, 'a contribution has two texts');
  for (const part of [undefined, 0, 1, 255]) agreedPart(body, part);
  hold(fromUtf8(text).length > 0, 'a contribution of nothing');
}
