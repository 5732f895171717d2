/**
 * People who agree on a batch mixnet's endpoint (D4.2 §5.2): the coordinator proposes its sizes, the other owners
 * accept, stop it, or answer with sizes of their own. The step itself is src/mixer/batch/agree-step.ts.
 */
import type { Meeting } from '../client/meeting.ts';
import { readRounds, type Reading } from '../client/rounds.ts';
import type { StepPeople } from '../mixer/batch/agree-step.ts';
import { Answers, judgeRounds, type Word } from './deciding.ts';
import type { EndpointChanges, EndpointTermsText } from './decisions.ts';
import { Talk } from './talk.ts';
import type { Founded } from './found.ts';
import type { PeerOptions } from './options.ts';

/** One kind of endpoint: a gateway, or the stops of random routes. */
export interface EndpointMatter<Terms> {
  readonly reading: Reading<Terms>;
  /** The coordinator's own; null for a contributor. */
  readonly proposal: Terms | null;
  text(terms: Terms): EndpointTermsText;
  merge(terms: Terms, changes: EndpointChanges): Terms;
  refuse(terms: Terms): string | null;
}

/** One owner's part in agreeing on an endpoint. */
export class EndpointTalk<Terms> {
  readonly talk: Talk;
  readonly #founded: Founded;
  readonly #matter: EndpointMatter<Terms>;
  readonly #answers: Answers<Terms, EndpointChanges>;

  constructor(
    options: PeerOptions,
    founded: Founded,
    negotiationId: string,
    matter: EndpointMatter<Terms>,
  ) {
    const { party, file, ground } = founded;
    const { coordinator, mixnetId, owners } = ground;
    this.#founded = founded;
    this.#matter = matter;
    this.talk = new Talk(party, options, file, {
      stage: 'endpoint',
      negotiationId,
      coordinator: () => coordinator,
      heeds: (signer) => owners.includes(signer),
      draft: () => ({ data: {}, info: {} }),
    });
    this.#answers = new Answers(this.talk, {
      stage: 'endpoint',
      ask: async (round, terms, moot) =>
        await this.talk.decisions.endpoint(
          {
            ...round,
            mixnetId,
            coordinator: this.talk.person(coordinator),
            terms: matter.text(terms),
          },
          moot,
        ),
      merge: (terms, changes) => matter.merge(terms, changes),
      refuse: (terms) => matter.refuse(terms),
    });
  }

  /** For the step. */
  get people(): StepPeople {
    return {
      hooks: this.talk.hooks,
      look: async (meeting) => {
        await this.talk.stopWhereDue(meeting);
        this.#look(meeting);
      },
      composing: () => this.talk.tell({ event: 'all-agreed', stage: 'endpoint' }),
      agreed: (consensusId) =>
        this.talk.tell({ event: 'consensus', stage: 'endpoint', consensusId }),
      close: () => this.talk.questions.close(),
    };
  }

  /** What we say now: null while it is being decided. */
  word(meeting: Meeting): Word<Terms> | null {
    const { proposal, reading } = this.#matter;
    const rounds = this.#rounds(meeting);
    if (proposal !== null) {
      if (!rounds) return { terms: proposal, meta: {} };
      return judgeRounds(this.talk, rounds, this.#others, {
        stage: 'endpoint',
        refuse: (terms) => this.#matter.refuse(terms),
      });
    }
    return rounds && this.#answers.word(rounds, reading.answer);
  }

  #look(meeting: Meeting): void {
    if (meeting.consensus !== null) return;
    const { party, file, ground } = this.#founded;
    if (file.read()?.signed[meeting.negotiationId] !== undefined) {
      this.talk.tell({ event: 'no-consensus-yet', stage: 'endpoint' });
    }
    if (ground.coordinator !== party.peerId) return;
    const rounds = this.#rounds(meeting);
    const silent = this.#others.filter((key) => rounds?.standingOf(key).stand === 'silent');
    if (silent.length > 0) {
      this.talk.tell({ event: 'contribution-pending', stage: 'endpoint', from: silent });
    }
    const present = this.#others.filter((key) => !silent.includes(key));
    this.talk.goesOnWithout({
      invitations: [],
      silent: silent.map((key) => this.talk.person(key)),
      present: present.map((key) => this.talk.person(key)),
      // A batch passes every owner.
      canGoOn: false,
    });
  }

  get #others(): string[] {
    const { party, ground } = this.#founded;
    return ground.owners.filter((key) => key !== party.peerId);
  }

  #rounds(meeting: Meeting): ReturnType<typeof readRounds<Terms>> {
    const { party, ground } = this.#founded;
    return readRounds(party.primitives, meeting, ground.coordinator, this.#matter.reading);
  }
}
