/**
 * An operator's decisions at a terminal (D4.2 §3.3, §5.2): each proposal is shown whole, then accepted,
 * aborted with a reason that all others read, or answered with other values.
 */
import type {
  Abort,
  Accept,
  AcceptDomains,
  ChangeQuestion,
  Counter,
  CounterDomains,
  CounterAnswer,
  CounterQuestion,
  Decisions,
  EndpointChanges,
  EndpointQuestion,
  FoundingChanges,
  MissingAnswer,
  MissingQuestion,
  NodesChanges,
  NodesQuestion,
  OwnersQuestion,
  TermsQuestion,
} from '../decisions.ts';
import type { DomainFinding } from '../domain-proof.ts';
import { formatDuration } from '../../terminal.ts';
import { parseNumber, parseText, type Choice, type Question } from './question.ts';
import { endpointText, nodesText, paramsText, personLine } from './proposals.ts';
import { QUESTIONS } from './questions.ts';
import { describeDifferences, describeDomain, describeRule } from './sayings.ts';
import type { Talk } from './talk.ts';

const ACCEPT = { answer: 'accept' } as const;
const REASON_LENGTH_MAX = 200;
const ACCEPT_OR_ABORT = ['accept', 'abort'] as const;
const THREE_WAYS: readonly Choice[] = [
  { value: 'accept' },
  { value: 'counter', hint: 'propose other values' },
  { value: 'abort', hint: 'say why, and stop' },
];

/** What a question about several values has in common. */
interface Round {
  readonly round: number;
  readonly changed: readonly string[];
  readonly notAdopted: boolean;
  readonly unusable: string | null;
}

/** Asks whoever sits at the terminal. */
export class DialogueDecisions implements Decisions {
  readonly #talk: Talk;

  constructor(talk: Talk) {
    this.#talk = talk;
  }

  async proposedTerms(
    question: TermsQuestion,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<FoundingChanges>> {
    const { coordinator, terms, invited, contribution } = question;
    this.#talk.say(
      [
        `Negotiation initialized by peer ${coordinator.peerId} with contribution ${contribution}.`,
        `Its fingerprint: ${coordinator.fingerprint}`,
        `Proposed name: '${terms.mixnetName}', with ${invited + 1} owners; later changes: ${describeRule(terms.rule)}`,
      ].join('\n'),
    );
    this.#sayRound(question);
    if (question.round === 1) {
      const backend = await this.#respond(
        `Proposed crypto backend: '${terms.backend}'; 'accept' or 'abort'? (default: 'accept')`,
        moot,
      );
      if (backend !== 'accept') return await this.#abort(moot);
    }
    const answer = await this.#respond(
      `Proposed crypto params: ${paramsText(terms.params)}; 'accept', 'counter' or 'abort'? (default: 'accept')`,
      moot,
      THREE_WAYS,
    );
    if (answer === 'abort') return await this.#abort(moot);
    if (answer === 'accept') return ACCEPT;
    return { answer: 'counter', changes: await this.#otherTerms(question, moot) };
  }

  async counterProposal(question: CounterQuestion, moot: AbortSignal): Promise<CounterAnswer> {
    const { from, differences, contribution } = question;
    this.#talk.say(
      [
        `Peer ${from.peerId} answers with contribution ${contribution} and other values:`,
        ...describeDifferences(differences).map((line) => `  ${line}`),
      ].join('\n'),
    );
    const answer = await this.#talk.choose({
      message: "'adopt' them, 'keep' your own, or 'abort'?",
      choices: [
        { value: 'adopt', hint: 'a new proposal, on which everybody decides anew' },
        { value: 'keep', hint: 'that peer decides anew on yours' },
        { value: 'abort', hint: 'say why, and stop' },
      ],
      moot,
    });
    if (answer === 'abort') return await this.#abort(moot);
    return { answer: answer === 'adopt' ? 'adopt' : 'keep' };
  }

  async owners(question: OwnersQuestion, moot: AbortSignal): Promise<Accept | Abort> {
    this.#talk.say(
      [
        'The owners and their fingerprints. Compare them over another channel, such as the telephone:',
        ...question.owners.map(personLine),
      ].join('\n'),
    );
    const answer = await this.#respond(
      `Are these the owners of '${question.terms.mixnetName}'? 'accept' or 'abort'? (default: 'accept')`,
      moot,
    );
    return answer === 'accept' ? ACCEPT : await this.#abort(moot);
  }

  async nodes(
    question: NodesQuestion,
    moot: AbortSignal,
  ): Promise<AcceptDomains | Abort | CounterDomains<NodesChanges>> {
    this.#talk.say(nodesText(question));
    this.#sayRound(question);
    const vouched = await this.#vouch(question.domains, moot);
    if (vouched === null) return await this.#abort(moot);
    const answer = await this.#respond(
      "Proposed nodes and traffic; 'accept', 'counter' or 'abort'? (default: 'accept')",
      moot,
      THREE_WAYS,
    );
    if (answer === 'abort') return await this.#abort(moot);
    if (answer === 'accept') return { ...ACCEPT, confirmedDomains: vouched };
    const changes = await this.#otherTraffic(question, moot);
    return { answer: 'counter', changes, confirmedDomains: vouched };
  }

  async endpoint(
    question: EndpointQuestion,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<EndpointChanges>> {
    const { terms } = question;
    this.#talk.say(endpointText(question));
    this.#sayRound(question);
    const answer = await this.#respond(
      "Proposed endpoint; 'accept', 'counter' or 'abort'? (default: 'accept')",
      moot,
      THREE_WAYS,
    );
    if (answer === 'abort') return await this.#abort(moot);
    if (answer === 'accept') return ACCEPT;
    const sizeMin = await this.#number(QUESTIONS.MIN_SIZE, terms.sizeMin, moot);
    const sizeMax = await this.#number(QUESTIONS.MAX_SIZE, terms.sizeMax, moot);
    return { answer: 'counter', changes: { sizeMin, sizeMax } };
  }

  async change(question: ChangeQuestion, moot: AbortSignal): Promise<AcceptDomains | Abort> {
    const { proposer, differences, contribution } = question;
    this.#talk.say(
      [
        `Peer ${proposer.peerId} proposes a change with contribution ${contribution}:`,
        ...describeDifferences(differences).map((line) => `  ${line}`),
      ].join('\n'),
    );
    this.#sayRound(question);
    const added = question.ownersAfter.filter(
      ({ peerId }) => !question.ownersBefore.some((before) => before.peerId === peerId),
    );
    if (added.length > 0) {
      this.#talk.say(
        ['Owners who are new, with fingerprints:', ...added.map(personLine)].join('\n'),
      );
    }
    const vouched = await this.#vouch(question.domains, moot);
    if (vouched === null) return await this.#abort(moot);
    const answer = await this.#respond(
      "Proposed change; 'accept' or 'abort'? (default: 'accept')",
      moot,
    );
    return answer === 'accept' ? { ...ACCEPT, confirmedDomains: vouched } : await this.#abort(moot);
  }

  async missing(question: MissingQuestion, moot: AbortSignal): Promise<MissingAnswer> {
    const { waitedMs, invitations, silent, canGoOn } = question;
    this.#talk.say(
      [
        `Nothing new for ${formatDuration(waitedMs)}. Missing:`,
        ...invitations.map((one) => `  who holds the invitation ${one}`),
        ...silent.map(personLine),
      ].join('\n'),
    );
    const answer = await this.#talk.choose({
      message: 'What now?',
      choices: [
        { value: 'wait' },
        ...(canGoOn ? [{ value: 'go-on-without', hint: 'those who are there found it' }] : []),
        { value: 'abort', hint: 'say why, and stop' },
      ],
      proposal: 'wait',
      moot,
    });
    if (answer === 'abort') return await this.#abort(moot);
    return { answer: answer === 'go-on-without' ? answer : 'wait' };
  }

  #sayRound({ round, changed, notAdopted, unusable }: Round): void {
    if (unusable !== null) this.#talk.warn(`Your answer could not be sent: ${unusable}`);
    if (notAdopted) this.#talk.warn('Your counter-proposal was not adopted.');
    if (round > 1 && changed.length > 0) this.#talk.say(`Changed since: ${changed.join(', ')}`);
  }

  async #respond(
    message: string,
    moot: AbortSignal,
    choices: readonly Choice[] = ACCEPT_OR_ABORT.map((value) => ({ value })),
  ): Promise<string> {
    return await this.#talk.choose({ message, choices, proposal: 'accept', moot });
  }

  async #abort(moot: AbortSignal): Promise<Abort> {
    const reasonText = parseText(REASON_LENGTH_MAX);
    const reason = await this.#talk.text({
      message: 'Why? The others read it.',
      refuse: (text) => {
        const parsed = reasonText(text);
        return 'problem' in parsed ? parsed.problem : null;
      },
      moot,
    });
    return { answer: 'abort', reason: reason.trim() };
  }

  /** The domains that the operator vouches for; null where he does not. Proved ones need nobody's word. */
  async #vouch(findings: readonly DomainFinding[], moot: AbortSignal): Promise<string[] | null> {
    const vouched: string[] = [];
    for (const finding of findings) {
      if (finding.outcome === 'proved' || finding.confirmed || finding.own) continue;
      const answer = await this.#talk.choose({
        message: `${describeDomain(finding)}. Do you know that it is that peer's?`,
        choices: [
          { value: 'no', hint: 'it is not signed' },
          { value: 'yes', hint: 'you vouch for it' },
        ],
        proposal: 'no',
        moot,
      });
      if (answer !== 'yes') return null;
      vouched.push(finding.domain);
    }
    return vouched;
  }

  async #otherTerms({ terms }: TermsQuestion, moot: AbortSignal): Promise<FoundingChanges> {
    const { params } = terms;
    const bodyLen = await this.#number(QUESTIONS.BODY_LEN, params.BODY_LEN, moot);
    const headerLen = await this.#number(QUESTIONS.HEADER_LEN, params.HEADER_LEN, moot);
    return { params: { BODY_LEN: bodyLen, HEADER_LEN: headerLen } };
  }

  async #otherTraffic(question: NodesQuestion, moot: AbortSignal): Promise<NodesChanges> {
    const { traffic } = question;
    const ask = async (
      name: 'delay_mean_ms' | 'ticks_per_second' | 'loops_per_second' | 'mixes_per_route',
    ): Promise<number> => await this.#number(QUESTIONS[name], traffic[name], moot);
    const changed = {
      delay_mean_ms: await ask('delay_mean_ms'),
      ticks_per_second: await ask('ticks_per_second'),
      loops_per_second: await ask('loops_per_second'),
      mixes_per_route: await ask('mixes_per_route'),
    };
    const hours = await this.#number(KEY_HOURS, question.keyLifetimeMs / HOUR_MS, moot);
    return {
      traffic: changed,
      ...(hours * HOUR_MS !== question.keyLifetimeMs && { keyLifetimeMs: hours * HOUR_MS }),
    };
  }

  async #number(question: Question, now: number, moot: AbortSignal): Promise<number> {
    const text = await this.#talk.text({
      message: question.message.replace('{default}', ` (proposed: '${now}')`),
      help: question.help,
      proposal: String(now),
      refuse: (said) => {
        const parsed = question.parse(said);
        return 'problem' in parsed ? parsed.problem : null;
      },
      moot,
    });
    return Number(text);
  }
}

const HOUR_MS = 3_600_000;
const KEY_HOURS: Question = {
  name: 'key_lifetime',
  flag: '',
  key: null,
  message: 'Set the life of a mix key, hours{default}',
  help: 'What was sent to a key that is destroyed stays closed.',
  parse: parseNumber(0.0003, 8784, false),
};
