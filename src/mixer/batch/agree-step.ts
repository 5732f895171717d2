/**
 * One step of a batch mixnet (D4.2 §5.2, "Contribution pending from…"): each owner says its word when it is
 * ready, the coordinator composes what all shall sign, everybody reviews it. What is not signed is
 * said aloud, by its reason, and the cycle waits.
 */
import { canonicalText } from '../../api/canonical.ts';
import {
  agree,
  retrying,
  type Agreed,
  type Agreement,
  type Draft,
  type Party,
} from '../../client/agree.ts';
import { nextNegotiation, type Meeting, type Statement } from '../../client/meeting.ts';
import { asPanoramixError, PanoramixError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { MixnetState, MixnetStateFile } from '../mixnet-state.ts';

/** What was said by whom: the last word of each owner that is no signature and no refusal. */
export type Words = ReadonlyMap<string, unknown>;

/** What differs between steps. `data` is that of the request which all agree to make. */
export interface Step {
  readonly name: string;
  readonly info: object;
  /** Reads what the others go by; before each look at the words. */
  look(): Promise<void>;
  /** Where people decide in rounds: our word as it is now, with its marks, instead of one that stays. */
  readonly rounds?: (meeting: Meeting) => { readonly data: object; readonly meta: object } | null;
  /** Our word, once we are ready. Said once, it stays. */
  word(words: Words): object | null;
  /** The coordinator's: what all shall sign, out of everybody's words; null while it must wait. */
  compose(words: Words): object | null;
  /** Null where `data` may be signed, else the reason against it. */
  review(data: unknown, words: Words, own: unknown): string | null;
}

/** People in a step: who stops it, who is asked. An unattended run has none. */
export interface StepPeople {
  readonly hooks: Required<Pick<Agreement, 'heeds' | 'sent' | 'awake'>>;
  /** After each look, before anything is said; throws where somebody has stopped it. */
  look(meeting: Meeting): Promise<void>;
  /** All have agreed: the accepted text is sent next. */
  composing(): void;
  agreed(consensusId: string): void;
  close(): void;
}

/** Who agrees, and where. */
export interface StepGround {
  readonly party: Party;
  readonly file: MixnetStateFile;
  readonly log: Log;
  readonly owners: readonly string[];
  readonly coordinator: string;
  /** An operator's run stops at a refusal, an unattended one waits. */
  readonly onRefusal: 'stop' | 'wait';
  readonly people?: StepPeople;
}

/** What all owners signed, and where the next step is negotiated. */
export interface AgreedStep {
  readonly consensusId: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly nextNegotiationId: string;
}

/**
 * Runs the negotiation that the state file names to its end.
 * @throws PanoramixError `agreement-foreign` where it ended without us, `agreement-refused`
 */
export async function agreeOnStep(ground: StepGround, step: Step): Promise<AgreedStep> {
  const { party, file } = ground;
  const isCoordinator = party.peerId === ground.coordinator;
  const next = new NextNegotiation(ground);
  const negotiationId = file.read()?.next_negotiation_id as string;
  const say = new Sayings(ground.log, step.name);
  const opening = (meeting: Meeting): Draft | null => {
    if (step.rounds) {
      const word = step.rounds(meeting);
      return word && { data: word.data, info: step.info, meta: { ...word.meta, ...next.meta } };
    }
    const words = wordsOf(meeting, ground, step);
    const data = (words.get(party.peerId) as object | undefined) ?? step.word(words);
    return data === null ? null : { data, info: step.info, meta: next.meta };
  };
  const agreed = await agree(party, {
    ...ground.people?.hooks,
    negotiationId,
    opening,
    compose: (meeting) => {
      const words = wordsOf(meeting, ground, step);
      say.pending(ground.owners.filter((owner) => !words.has(owner)));
      if (!isCoordinator || words.size < ground.owners.length) return null;
      const data = step.compose(words);
      if (data) ground.people?.composing();
      return data && { data, info: step.info, meta: next.meta, signers: ground.owners };
    },
    review: (said, meeting) => {
      const reason = reviewStep(said, meeting, ground, step);
      if (reason !== null) say.refused(reason, said.signer);
      return reason;
    },
    progress: async (meeting) => {
      await ground.people?.look(meeting);
      await retrying(party, () => say.failures(() => step.look()));
      if (meeting.consensus === null) await next.keep(meeting);
    },
    signed: file.read()?.signed[negotiationId] ?? null,
    remember: (text) => file.sign(negotiationId, text),
    onRefusal: ground.onRefusal,
  }).finally(() => ground.people?.close());
  ground.people?.agreed(agreed.consensus.consensusId);
  return finish(ground, negotiationId, agreed);
}

function finish(
  { party, file }: StepGround,
  negotiationId: string,
  { consensus, meeting }: Agreed,
): AgreedStep {
  if (consensus.text !== file.read()?.signed[negotiationId]) {
    throw new PanoramixError('agreement-foreign', 'a step was agreed on without us');
  }
  const next = nextNegotiation(meeting, consensus.body, party.primitives);
  if (next === null) {
    throw new PanoramixError('agreement-foreign', 'nobody named the negotiation that follows');
  }
  return {
    consensusId: consensus.consensusId,
    data: consensus.body.data as Record<string, unknown>,
    nextNegotiationId: next,
  };
}

function reviewStep(
  said: Statement,
  meeting: Meeting,
  ground: StepGround,
  step: Step,
): string | null {
  const { data, info, meta } = said.body;
  if (canonicalText(info) !== canonicalText(step.info)) return 'step-differs';
  if (meta.signers.join() !== ground.owners.join()) return 'step-differs';
  if (nextNegotiation(meeting, said.body, ground.party.primitives) === null) {
    return 'next-negotiation-differs';
  }
  const words = wordsOf(meeting, ground, step);
  return step.review(data, words, words.get(ground.party.peerId));
}

function wordsOf(meeting: Meeting, { owners }: StepGround, step: Step): Words {
  const words = new Map<string, unknown>();
  for (const { signer, body, accepts } of meeting.statements) {
    if (accepts || !owners.includes(signer)) continue;
    if (canonicalText(body.info) === canonicalText(step.info)) words.set(signer, body.data);
  }
  return words;
}

/** How often the negotiation that follows is looked at: controllers end those that nobody looks at. */
const KEEP_MS = 3_600_000;

/** The negotiation that is to follow, which must still be open when this step ends, weeks from now perhaps. */
class NextNegotiation {
  readonly #ground: StepGround;
  #proposed: string | null = null;
  #keepMs = -Infinity;

  constructor(ground: StepGround) {
    this.#ground = ground;
  }

  /** What the coordinator's texts say of it. */
  get meta(): { readonly next_negotiation_id?: string } {
    return this.#proposed === null ? {} : { next_negotiation_id: this.#proposed };
  }

  /** Each owner looks at what the coordinator has named; he himself opens another where it is gone unsaid. */
  async keep(meeting: Meeting): Promise<void> {
    const { party, coordinator } = this.#ground;
    if (party.now() < this.#keepMs) return;
    const said = meeting.statements.flatMap(({ signer, body }) =>
      signer === coordinator ? (body.meta.next_negotiation_id ?? []) : [],
    );
    const named = said.at(-1) ?? null;
    const isCoordinator = party.peerId === coordinator;
    if (isCoordinator) this.#proposed = named ?? (await proposedNext(this.#ground));
    const id = isCoordinator ? this.#proposed : named;
    if (id === null) return;
    this.#keepMs = party.now() + KEEP_MS;
    try {
      await retrying(party, () => party.client.listContributions(id));
    } catch (error) {
      if (asPanoramixError(error).code !== 'negotiation-unknown') throw error;
      if (!isCoordinator || named !== null) return;
      const { proposed_negotiation_id: _gone, ...kept } = this.#ground.file.read() as MixnetState;
      this.#ground.file.write(kept);
      this.#proposed = await proposedNext(this.#ground);
    }
  }
}

/** Opened among the owners, once for each step. */
async function proposedNext({ party, file, owners }: StepGround): Promise<string> {
  const opened = file.read()?.proposed_negotiation_id;
  if (opened !== undefined) return opened;
  const among = { signers: owners, needed: owners.length };
  const id = await retrying(party, () => party.client.createNegotiation(among));
  file.update({ proposed_negotiation_id: id });
  return id;
}

/** Says each thing once in a step, not at each look. */
class Sayings {
  readonly #log: Log;
  readonly #step: string;
  readonly #said = new Set<string>();
  #pending = '';

  constructor(log: Log, step: string) {
    this.#log = log;
    this.#step = step;
  }

  pending(owners: readonly string[]): void {
    const now = owners.join();
    if (now === this.#pending || now === '') return;
    this.#pending = now;
    this.#log.info(
      { event: 'step-pending', step: this.#step, owners: owners.map((key) => key.slice(0, 8)) },
      'Contribution pending from owners',
    );
  }

  refused(reason: string, signer: string): void {
    if (this.#said.has(reason)) return;
    this.#said.add(reason);
    this.#log.error(
      { event: 'cycle-refused', step: this.#step, reason, composer: signer.slice(0, 8) },
      'We do not sign what was composed: the cycle does not go on',
    );
  }

  /** What a look meets is said, also where it is tried again. */
  async failures<Value>(action: () => Promise<Value>): Promise<Value> {
    try {
      return await action();
    } catch (thrown) {
      const { code, message } = asPanoramixError(thrown);
      if (!this.#said.has(message)) {
        this.#said.add(message);
        this.#log.error(
          { event: 'step-failed', step: this.#step, reason: code, detail: message },
          'Cannot go on with the cycle for now; trying again',
        );
      }
      throw thrown;
    }
  }
}
