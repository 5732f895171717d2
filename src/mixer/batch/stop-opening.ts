/**
 * The wizard's last act for a mixnet of stops: all owners agree on what their stops have in common, then
 * each opens its own, with a key of its own.
 */
import { z } from 'zod';
import { canonicalText } from '../../api/canonical.ts';
import { BATCH, BATCH_SIZE_MAX } from '../../api/endpoint.ts';
import { retrying } from '../../client/agree.ts';
import type { Meeting } from '../../client/meeting.ts';
import type { Reading } from '../../client/rounds.ts';
import type { GroupName } from '../../crypto/primitives.ts';
import type { StopTerms } from '../../mixnet/batch-stops.ts';
import { agreeOnStep, type Step, type StepGround } from './agree-step.ts';
import type { OwnerView } from './batch-view.ts';
import { fixedStep } from './closing.ts';
import { CREATE_ENDPOINT, type TermsWord } from './creation.ts';
import { writeStep } from './opening.ts';
import { openStop } from './stop-node.ts';

const stopShape = z
  .strictObject({
    endpoint_type: z.literal(BATCH),
    name: z.string().regex(/^[a-z][a-z0-9_]{0,23}$/),
    size_min: z.int().min(1).max(BATCH_SIZE_MAX),
    size_max: z.int().min(1).max(BATCH_SIZE_MAX),
    public: z.boolean(),
  })
  .refine((data) => data.size_min <= data.size_max, 'size_min over size_max');

/** Agrees on the terms, opens our stop, and writes down that this mixnet has stops. */
export async function openStops(
  view: OwnerView,
  ground: StepGround,
  wish: {
    readonly mixnetId: string;
    readonly group: GroupName;
    /** The coordinator's. */
    readonly proposal: StopTerms | null;
    /** Null where we go along, else why not. */
    readonly refuse: (terms: StopTerms) => string | null;
    /** Where people decide: what we say now, and its marks; null while it is being decided. */
    readonly word?: (meeting: Meeting) => TermsWord<StopTerms> | null;
  },
): Promise<StopTerms> {
  const agreed = await agreeOnStep(ground, stopStep(ground, wish));
  const terms = readTerms(agreed.data) as StopTerms;
  const { mixnetId, group } = wish;
  const endpointId = await retrying(ground.party, () => openStop(view, mixnetId, group, terms, 1));
  writeStep(
    ground.file,
    agreed,
    {
      endpoint_id: endpointId,
      step: 'stop',
      last_consensus_id: agreed.consensusId,
      closings: 0,
      opened: [],
    },
    ground.owners,
  );
  return terms;
}

function stopStep(ground: StepGround, wish: Parameters<typeof openStops>[2]): Step {
  const { proposal, refuse } = wish;
  return {
    ...fixedStep('create', CREATE_ENDPOINT, {}),
    ...(wish.word && {
      rounds: (meeting: Meeting) => {
        const word = wish.word?.(meeting) ?? null;
        return word && { data: dataOf(word.terms), meta: word.meta };
      },
    }),
    word: (words) => {
      const terms = proposal ?? readTerms(words.get(ground.coordinator));
      return terms === null || refuse(terms) !== null ? null : dataOf(terms);
    },
    compose: (words) => {
      const [first, ...others] = [...words.values()].map((data) => canonicalText(data));
      const terms = readTerms(words.get(ground.coordinator));
      return proposal && terms && others.every((other) => other === first) ? dataOf(terms) : null;
    },
    review: (data, _words, own) => {
      const terms = readTerms(data);
      if (terms === null) return 'terms-malformed';
      return (
        refuse(terms) ??
        (canonicalText(own ?? null) === canonicalText(data) ? null : 'terms-changed')
      );
    },
  };
}

/** How the stops' terms are read in words. */
export const STOPS_READING: Reading<StopTerms> = {
  proposal: ({ body }) => readTerms(body.data),
  answer: ({ body }) => readTerms(body.data),
};

function dataOf(terms: StopTerms): z.output<typeof stopShape> {
  const { name, sizeMin, sizeMax, public: isPublic } = terms;
  return {
    endpoint_type: BATCH,
    name,
    size_min: sizeMin,
    size_max: sizeMax,
    public: isPublic,
  };
}

function readTerms(data: unknown): StopTerms | null {
  const read = stopShape.safeParse(data);
  if (!read.success) return null;
  const { name, size_min: sizeMin, size_max: sizeMax, public: isPublic } = read.data;
  return { name, sizeMin, sizeMax, public: isPublic };
}
