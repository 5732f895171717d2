/**
 * Rounds of a negotiation in which people decide (D4.2 §3.3, "confirm or counter-propose"): who coordinates
 * proposes terms, the others answer with the same terms or with others of their own; he adopts these, in a new
 * proposal, or keeps his. Only when every answer equals the proposal is a text composed that all sign.
 * Everything is read from the signed words alone, so that whoever was killed finds where it stands. Pure.
 */
import { canonicalText } from '../api/canonical.ts';
import { hashText } from '../api/signed.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Meeting, Statement } from './meeting.ts';

/** One proposal of the coordinator's. */
export interface Proposed<Terms> {
  readonly statement: Statement;
  readonly terms: Terms;
}

/** Where a party stands to the last proposal. */
export type Standing<Terms> =
  /** It has not answered it, or has answered something else meanwhile. */
  | { readonly stand: 'silent'; readonly notAdopted: boolean }
  | { readonly stand: 'agrees'; readonly statement: Statement }
  | { readonly stand: 'counters'; readonly statement: Statement; readonly terms: Terms };

/** A negotiation seen as rounds. */
export interface Rounds<Terms> {
  /** Oldest first, at least one; restated ones count once. */
  readonly proposals: readonly [Proposed<Terms>, ...Proposed<Terms>[]];
  readonly current: Proposed<Terms>;
  standingOf(peerId: string): Standing<Terms>;
}

/** How terms are read in words. */
export interface Reading<Terms> {
  /** Terms in a word of the coordinator's; null where it proposes nothing. */
  readonly proposal: (statement: Statement) => Terms | null;
  /** Terms in another's answer. */
  readonly answer: (statement: Statement) => Terms | null;
}

/**
 * Reads the rounds of a negotiation; null before the first proposal.
 * A word answers by `meta.answers`, the hash of the proposal's text; a proposal's `meta.keeps` has the hashes of
 * the counter-proposals that it does not adopt.
 */
export function readRounds<Terms>(
  primitives: Primitives,
  meeting: Meeting,
  coordinator: string,
  reading: Reading<Terms>,
): Rounds<Terms> | null {
  const proposals = meeting.statements.flatMap((statement): Proposed<Terms>[] => {
    if (statement.signer !== coordinator || statement.accepts) return [];
    const terms = isAbort(statement) ? null : reading.proposal(statement);
    return terms === null ? [] : [{ statement, terms }];
  });
  const current = proposals.at(-1);
  if (!current) return null;
  // Terms that come back after others are a new proposal: what was countered to them before is past.
  const other = proposals.findLastIndex((one) => !sameTerms(one.terms, current.terms));
  const restated = proposals.slice(other + 1);
  const kept = new Set(restated.flatMap(({ statement }) => hashesIn(statement, 'keeps')));
  const isOf = (statement: Statement, one: Proposed<Terms>): boolean =>
    hashText(primitives, one.statement.text) === statement.body.meta['answers'];
  return {
    proposals: proposals.filter(
      ({ terms }, index) => index === 0 || !sameTerms(terms, proposals[index - 1]?.terms),
    ) as [Proposed<Terms>, ...Proposed<Terms>[]],
    current,
    standingOf: (peerId) => {
      const statement = lastAnswer(meeting, peerId);
      const terms = statement && reading.answer(statement);
      if (!statement || terms === null) return { stand: 'silent', notAdopted: false };
      if (sameTerms(terms, current.terms)) return { stand: 'agrees', statement };
      const isOpen = restated.some((one) => isOf(statement, one));
      if (isOpen && !kept.has(hashText(primitives, statement.text))) {
        return { stand: 'counters', statement, terms };
      }
      const answered = proposals.find((one) => isOf(statement, one));
      return { stand: 'silent', notAdopted: !!answered && !sameTerms(terms, answered.terms) };
    },
  };
}

/** Whether two terms are the same text. */
export function sameTerms(left: unknown, right: unknown): boolean {
  return canonicalText(left) === canonicalText(right);
}

/** `meta` of an answer to a proposal. */
export function answerTo(
  primitives: Primitives,
  proposal: Proposed<unknown>,
): { readonly answers: string } {
  return { answers: hashText(primitives, proposal.statement.text) };
}

/** `meta` of the present proposal, said again because it does not adopt one more counter-proposal. */
export function keepingBeside(
  primitives: Primitives,
  current: Proposed<unknown>,
  counter: Statement,
): { readonly keeps: readonly string[] } {
  const keeps = [...hashesIn(current.statement, 'keeps'), hashText(primitives, counter.text)];
  return { keeps };
}

/** `meta.keeps` of a proposal as it stands, for who says it again. */
export function keptIn(statement: Statement): { readonly keeps?: readonly string[] } {
  const keeps = hashesIn(statement, 'keeps');
  return keeps.length === 0 ? {} : { keeps };
}

/** A party's last word that answers; its accepted text does too, as do words from before a refusal. */
function lastAnswer(meeting: Meeting, peerId: string): Statement | null {
  const own = meeting.statements.filter(({ signer }) => signer === peerId);
  return own.findLast((said) => said.accepts || 'answers' in said.body.meta) ?? null;
}

function hashesIn(statement: Statement, name: string): string[] {
  const hashes: unknown = statement.body.meta[name];
  if (!Array.isArray(hashes)) return [];
  return hashes.filter((hash): hash is string => typeof hash === 'string');
}

function isAbort(statement: Statement): boolean {
  return 'aborted' in statement.body.meta;
}
