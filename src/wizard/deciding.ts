/**
 * What rounds (src/client/rounds.ts) and decisions have to do with each other: a contributor's word is what he has
 * answered, the coordinator's next proposal is what he has made of the counter-proposals.
 */
import { canonicalText } from '../api/canonical.ts';
import { hashText } from '../api/signed.ts';
import { answerTo, keepingBeside, keptIn, sameTerms, type Rounds } from '../client/rounds.ts';
import type { Abort, Accept, Counter, Difference, Stage } from './decisions.ts';
import type { Statement } from '../client/meeting.ts';
import type { Talk } from './talk.ts';

/** What every question about a proposal says of it (`Round` in decisions.ts). */
export interface RoundFields {
  readonly contribution: number;
  readonly round: number;
  readonly changed: readonly string[];
  readonly notAdopted: boolean;
  readonly unusable: string | null;
}

/** Terms to be said, with the marks of the word. */
export interface Word<Terms> {
  readonly terms: Terms;
  readonly meta: Readonly<Record<string, unknown>>;
}

/** How one kind of terms is decided on. */
export interface Matter<Terms, Changes> {
  readonly stage: Stage;
  ask(
    round: RoundFields,
    terms: Terms,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<Changes>>;
  merge(terms: Terms, changes: Changes): Terms;
  /** Why terms cannot work, as a sentence; null where they can. */
  refuse(terms: Terms): string | null;
}

/** A contributor's side of the rounds of one negotiation. */
export class Answers<Terms, Changes> {
  readonly #talk: Talk;
  readonly #matter: Matter<Terms, Changes>;
  #unusable: { readonly subject: string; readonly why: string; readonly tries: number } | null =
    null;

  constructor(talk: Talk, matter: Matter<Terms, Changes>) {
    this.#talk = talk;
    this.#matter = matter;
  }

  /** What we answer to the present proposal: null while it is being decided. */
  word(rounds: Rounds<Terms>, read: (statement: Statement) => Terms | null): Word<Terms> | null {
    const { questions, party } = this.#talk;
    const standing = rounds.standingOf(party.peerId);
    if (standing.stand !== 'silent') {
      questions.drop('answer');
      const { statement } = standing;
      const terms = read(statement);
      const { answers } = statement.body.meta;
      return terms === null ? null : { terms, meta: { answers } };
    }
    const { current, proposals } = rounds;
    const hopeless = this.#matter.refuse(current.terms);
    if (hopeless !== null) {
      this.#talk.stop(hopeless, 'agreement-refused');
      return null;
    }
    const subject = canonicalText([current.terms, standing.notAdopted]);
    const again = this.#unusable?.subject === subject ? this.#unusable : null;
    const before = proposals.at(-2);
    const round: RoundFields = {
      contribution: current.statement.id,
      round: proposals.length,
      changed: before ? differencesOf(before.terms, current.terms).map(({ name }) => name) : [],
      notAdopted: standing.notAdopted,
      unusable: again?.why ?? null,
    };
    const answer = questions.ask('answer', `${again?.tries ?? 0} ${subject}`, (moot) =>
      this.#matter.ask(round, current.terms, moot),
    );
    if (answer === null) return null;
    if (answer.answer === 'abort') {
      this.#talk.stop(answer.reason);
      return null;
    }
    const terms =
      answer.answer === 'accept'
        ? current.terms
        : this.#matter.merge(current.terms, answer.changes);
    const why = sameTerms(terms, current.terms) ? null : this.#matter.refuse(terms);
    if (why === null) return { terms, meta: answerTo(party.primitives, current) };
    this.#unusable = { subject, why, tries: (again?.tries ?? 0) + 1 };
    questions.wake();
    return null;
  }
}

/**
 * What the coordinator says next: his proposal as it stands, or what he has made of the first counter-proposal
 * that waits. One that cannot work is not even asked about.
 * @param parties whose answers count
 */
export function judgeRounds<Terms>(
  talk: Talk,
  rounds: Rounds<Terms>,
  parties: readonly string[],
  matter: Pick<Matter<Terms, never>, 'stage' | 'refuse'>,
): Word<Terms> {
  const { terms, statement } = rounds.current;
  const stands: Word<Terms> = { terms, meta: keptIn(statement) };
  const [counter] = parties
    .map((peerId) => rounds.standingOf(peerId))
    .filter((standing) => standing.stand === 'counters')
    .toSorted((left, right) => left.statement.id - right.statement.id);
  if (!counter) {
    talk.questions.drop('counter');
    return stands;
  }
  const { primitives } = talk.party;
  const differences = differencesOf(terms, counter.terms);
  const from = counter.statement.signer;
  const tell = (outcome: 'adopted' | 'kept' | 'unusable'): void =>
    talk.tell({ event: 'counter', stage: matter.stage, from, differences, outcome });
  const kept = {
    terms,
    meta: keepingBeside(primitives, rounds.current, counter.statement),
  };
  if (matter.refuse(counter.terms) !== null) {
    tell('unusable');
    return kept;
  }
  const subject = hashText(primitives, counter.statement.text);
  const question = {
    about: matter.stage,
    from: talk.person(from),
    contribution: counter.statement.id,
    differences,
  };
  const answer = talk.questions.ask('counter', subject, (moot) =>
    talk.decisions.counterProposal(question, moot),
  );
  if (answer === null) return stands;
  if (answer.answer === 'abort') {
    talk.stop(answer.reason);
    return stands;
  }
  tell(answer.answer === 'adopt' ? 'adopted' : 'kept');
  return answer.answer === 'adopt' ? { terms: counter.terms, meta: {} } : kept;
}

/** Leaves that differ, by their own names, as in D4.2 or in the configuration file. */
export function differencesOf(ours: unknown, theirs: unknown, name = 'all'): Difference[] {
  if (!isRecord(ours) || !isRecord(theirs)) {
    const difference = { name, ours: ours ?? null, theirs: theirs ?? null };
    return sameTerms(difference.ours, difference.theirs) ? [] : [difference];
  }
  const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  return names.flatMap((key) => differencesOf(ours[key], theirs[key], asInFiles(key)));
}

function asInFiles(name: string): string {
  return /^[a-z]/.test(name)
    ? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    : name;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
