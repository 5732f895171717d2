/**
 * Opening a gateway by rounds of amendments (D4.2 §5.2, §6.2): the coordinator proposes the terms with its own
 * link, each owner answers with the same terms and its own, and the text that all sign has every link in the
 * owners' order. Nobody signs a chain in which its own key, or another's word, was changed.
 */
import { canonicalText } from '../../api/canonical.ts';
import {
  decodeBatchParams,
  encodeBatchParams,
  type BatchLink,
  type BatchParams,
} from '../../api/batch-params.ts';
import {
  BATCH_GATEWAY,
  BATCH_SIZE_MAX,
  endpointCreate,
  type EndpointFields,
} from '../../api/endpoint.ts';
import type { ContributionBody } from '../../api/contribution.ts';
import type { Meeting } from '../../client/meeting.ts';
import type { Reading } from '../../client/rounds.ts';
import type { GroupName } from '../../crypto/primitives.ts';
import { DUMMIES_SHOWN_MAX } from '../../mixnet/batch-dummy.ts';
import { fixedStep } from './closing.ts';
import type { Step, Words } from './agree-step.ts';

/** `info` of every creation. */
export const CREATE_ENDPOINT = { resource: 'endpoint', operation: 'create' } as const;

/** What the owners agree on besides their links (D4.2 §5.2). */
export interface GatewayTerms {
  readonly endpointId: string;
  readonly description: string;
  readonly sizeMin: number;
  readonly sizeMax: number;
  /** Null: a cycle waits for its minimum, however long. */
  readonly waitMs: number | null;
  /** Whether everybody may read what comes out. */
  readonly public: boolean;
}

/** What a creation is about. */
export interface CreationGround {
  readonly mixnetId: string;
  readonly owners: readonly string[];
  readonly coordinator: string;
  readonly group: GroupName;
  readonly peerId: string;
  /** Our link of a gateway with this id: draws its key where there is none yet. */
  readonly linkFor: (gatewayId: string) => BatchLink;
  /** The coordinator's: what it proposes. */
  readonly proposal: GatewayTerms | null;
  /** A contributor's: null where it goes along with these terms, else why not. */
  readonly refuse: (terms: GatewayTerms) => string | null;
  /** Where people decide: what we say now, and its marks; null while it is being decided. */
  readonly word?: (meeting: Meeting) => TermsWord<GatewayTerms> | null;
}

/** Terms that people have decided on, with the marks of the word that says them. */
export interface TermsWord<Terms> {
  readonly terms: Terms;
  readonly meta: object;
}

/** How a gateway's terms are read in words. */
export function gatewayReading(mixnetId: string): Reading<GatewayTerms> {
  const read = ({ body }: { readonly body: ContributionBody }): GatewayTerms | null =>
    canonicalText(body.info) === canonicalText(CREATE_ENDPOINT)
      ? termsIn({ mixnetId }, body.data)
      : null;
  return { proposal: read, answer: read };
}

/** The step that opens a gateway. */
export function creationStep(ground: CreationGround): Step {
  const { proposal } = ground;
  const amended = (words: Words): object | null => {
    const terms = proposal ?? termsIn(ground, words.get(ground.coordinator));
    if (terms === null || ground.refuse(terms) !== null) return null;
    return dataOf(ground, terms, [ground.linkFor(terms.endpointId)]);
  };
  return {
    ...fixedStep('create', CREATE_ENDPOINT, {}),
    word: amended,
    ...(ground.word && {
      rounds: (meeting: Meeting) => {
        const word = ground.word?.(meeting) ?? null;
        const link = word && ground.linkFor(word.terms.endpointId);
        return link && { data: dataOf(ground, word.terms, [link]), meta: word.meta };
      },
    }),
    compose: (words) => composed(ground, words),
    review: (data, words, own) => {
      const terms = termsIn(ground, words.get(ground.coordinator));
      if (terms === null) return 'terms-malformed';
      const refusal = ground.refuse(terms);
      if (refusal !== null) return refusal;
      // Our own word must be among those that were put together, with our key as we said it.
      const expected = own === undefined ? null : composed(ground, words);
      return expected && canonicalText(expected) === canonicalText(data) ? null : 'terms-changed';
    },
  };
}

/** Terms of a gateway that may be proposed or signed at all; null where they may. */
export function refuseGatewayTerms(terms: GatewayTerms): string | null {
  if (terms.sizeMin < 1) return 'size_min is 0: a cycle of nothing hides nobody';
  if (terms.sizeMax > BATCH_SIZE_MAX) return `size_max is over ${BATCH_SIZE_MAX}`;
  if (terms.sizeMin > terms.sizeMax) return 'size_min is over size_max';
  if (terms.waitMs !== null && terms.sizeMin > DUMMIES_SHOWN_MAX) {
    return `size_min is over ${DUMMIES_SHOWN_MAX}: so many dummies could not be shown`;
  }
  return null;
}

/** The terms of a gateway as it was opened. */
export function termsOf(fields: EndpointFields): GatewayTerms | null {
  const params = decodeBatchParams(fields.endpoint_params);
  if (fields.endpoint_type !== BATCH_GATEWAY || params?.kind !== 'gateway') return null;
  return {
    endpointId: fields.endpoint_id,
    description: fields.description,
    sizeMin: fields.size_min,
    sizeMax: fields.size_max,
    waitMs: params.waitMs,
    public: fields.public,
  };
}

/** `NAME_1`, whose name its operator has chosen. */
export function gatewayIdOf(name: string, number: number): string {
  return `${name}_${number}`;
}

/** Of a name in the ids that follow: with a link's own prefix they are 64 letters at most. */
const NAME_LENGTH_MAX = 15;

/**
 * The id after this one: `NAME_MIXNET_2`. Nobody is there to choose another where it is taken, so it is one
 * that controllers keep for this mixnet (`isKeptForAnother`).
 */
export function nextGatewayId(mixnetId: string, gatewayId: string): string {
  const [, name = gatewayId, number = '1'] =
    /^(.+?)(?:_[0-9a-f]{16})?_(\d+)$/.exec(gatewayId) ?? [];
  const short = name.slice(0, NAME_LENGTH_MAX);
  return gatewayIdOf(`${short}_${mixnetId.slice(0, 16)}`, Number(number) + 1);
}

/** All words put together; null while one is missing, or is not an amendment of the coordinator's. */
function composed(ground: CreationGround, words: Words): object | null {
  const terms = termsIn(ground, words.get(ground.coordinator));
  if (terms === null) return null;
  const links: BatchLink[] = [];
  for (const owner of ground.owners) {
    const data = words.get(owner);
    const [link, ...others] = linksIn(data) ?? [];
    if (link?.peerId !== owner || others.length > 0) return null;
    if (canonicalText(dataOf(ground, terms, [link])) !== canonicalText(data)) return null;
    links.push(link);
  }
  return dataOf(ground, terms, links);
}

function termsIn(ground: Pick<CreationGround, 'mixnetId'>, data: unknown): GatewayTerms | null {
  const fields = endpointCreate.safeParse(data);
  if (!fields.success || fields.data.peer_id !== ground.mixnetId) return null;
  return termsOf(fields.data);
}

function linksIn(data: unknown): readonly BatchLink[] | null {
  const fields = endpointCreate.safeParse(data);
  const params: BatchParams | null = fields.success
    ? decodeBatchParams(fields.data.endpoint_params)
    : null;
  return params?.kind === 'gateway' ? params.links : null;
}

function dataOf(
  ground: CreationGround,
  terms: GatewayTerms,
  links: readonly BatchLink[],
): EndpointFields {
  const { group, mixnetId } = ground;
  return {
    peer_id: mixnetId,
    endpoint_id: terms.endpointId,
    endpoint_type: BATCH_GATEWAY,
    endpoint_params: encodeBatchParams({ kind: 'gateway', group, waitMs: terms.waitMs, links }),
    description: terms.description,
    status: 'OPEN',
    size_min: terms.sizeMin,
    size_max: terms.sizeMax,
    public: terms.public,
    // Whoever sends draws a fresh key, and so do owners for dummies: nobody can be told by his key.
    senders: 'anyone',
  };
}
