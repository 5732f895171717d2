/**
 * A contributor's part in the founding: finds the proposal of who has invited him, answers each round of it, and
 * signs the one text that has the terms to which he has agreed and the owners whom he has looked at.
 */
import { UNDECIDED, type Draft } from '../client/agree.ts';
import { proveInvitation, writeInvitation, type Invitation } from '../client/invitation.ts';
import { lastWord, type Meeting, type Statement } from '../client/meeting.ts';
import { readRounds, type Rounds } from '../client/rounds.ts';
import { PanoramixError } from '../errors.ts';
import { Answers } from './deciding.ts';
import type { FoundingChanges, FoundingTermsText } from './decisions.ts';
import {
  findProposal,
  founded,
  FOUNDING_READING,
  refuseFounding,
  reviewFounding,
  usedBy,
  type Proposal,
} from './founding.ts';
import { MovedOn, readMoved } from './move.ts';
import type { JoinPeerOptions } from './options.ts';
import type { Steps } from './settle.ts';
import type { Talk, TalkGround } from './talk.ts';

/** One run of the founding negotiation, from a contributor's side. */
export class FoundingContributor {
  readonly talk: Talk;
  readonly #options: JoinPeerOptions;
  readonly #invitation: Invitation;
  readonly #answers: Answers<FoundingTermsText, FoundingChanges>;
  #proposal: Proposal | null = null;

  /** @param talkOf makes the talk of this negotiation */
  constructor(
    options: JoinPeerOptions,
    invitation: Invitation,
    talkOf: (ground: TalkGround) => Talk,
  ) {
    this.#options = options;
    this.#invitation = invitation;
    this.talk = talkOf({
      stage: 'founding',
      negotiationId: invitation.negotiationId,
      coordinator: () => this.#proposal?.terms.coordinator ?? null,
      heeds: (signer, meeting) => this.#heeds(signer, meeting),
      draft: () => this.#draft(null),
    });
    this.#answers = new Answers(this.talk, {
      stage: 'founding',
      ask: async (round, terms, moot) => {
        const { coordinator } = (this.#proposal as Proposal).terms;
        const question = { ...round, coordinator: this.talk.person(coordinator), terms };
        const { invited } = this.#proposal as Proposal;
        return await this.talk.decisions.proposedTerms({ ...question, invited }, moot);
      },
      merge: (terms, { params, ...changes }) => ({
        ...terms,
        ...changes,
        params: { ...terms.params, ...params },
      }),
      refuse: (terms) => this.#refuse(terms),
    });
  }

  get steps(): Steps {
    return {
      opening: (meeting) => {
        const rounds = this.#rounds(meeting);
        const word = rounds && this.#answers.word(rounds, FOUNDING_READING.answer);
        if (!word) return null;
        const { meta } = this.#draft(word.terms);
        return { ...this.#draft(word.terms), meta: { ...word.meta, ...meta } };
      },
      compose: () => null,
      review: (said, meeting) => this.#review(said, meeting),
      progress: (meeting) => this.#look(meeting),
    };
  }

  #look(meeting: Meeting): void {
    if (meeting.consensus !== null) return;
    const { party, file } = this.talk;
    const { primitives, peerId } = party;
    const other = usedBy(primitives, meeting, this.#invitation, peerId);
    if (other !== null) {
      const detail = `${other.slice(0, 8)}… has used this invitation before us: ask for another one`;
      throw new PanoramixError('invitation-used', detail);
    }
    this.#proposal = findProposal(primitives, meeting, this.#invitation);
    if (!this.#proposal) return;
    const { terms, isOurs } = this.#proposal;
    if (file.read()?.coordinator === undefined) file.update({ coordinator: terms.coordinator });
    const moved = readMoved(primitives, meeting, terms.coordinator, this.#invitation);
    if (moved === 'withdrawn' || !isOurs) {
      throw new PanoramixError(
        'invitation-withdrawn',
        `${terms.coordinator.slice(0, 8)}… has gone on without this invitation`,
      );
    }
    if (moved) {
      const invitation = writeInvitation(moved);
      file.update({ founding_negotiation_id: moved.negotiationId, invitation });
      throw new MovedOn();
    }
    this.talk.tell({ event: 'proposed', terms });
  }

  #review(said: Statement, meeting: Meeting): string | typeof UNDECIDED | null {
    const { primitives, peerId } = this.talk.party;
    const rounds = this.#rounds(meeting);
    const proposal = this.#proposal;
    if (!rounds || !proposal) return 'proposal-missing';
    const composed = lastWord(meeting, proposal.terms.coordinator);
    // Nobody else composes: what others sign for themselves counts where they sign twice.
    if (composed?.text !== said.text) return UNDECIDED;
    if (rounds.standingOf(peerId).stand !== 'agrees') return 'terms-unaccepted';
    const reason = reviewFounding(primitives, said.body, meeting, proposal, peerId);
    if (reason !== null) return reason;
    const { key_id: mixnetId } = said.body.data as { key_id: string };
    const question = {
      terms: rounds.current.terms,
      mixnetId,
      owners: said.body.meta.signers.map((key) => this.talk.person(key)),
    };
    const answer = this.talk.questions.ask('owners', said.text, (moot) =>
      this.talk.decisions.owners(question, moot),
    );
    if (answer?.answer === 'abort') this.talk.stop(answer.reason);
    return answer?.answer === 'accept' ? null : UNDECIDED;
  }

  #rounds(meeting: Meeting): Rounds<FoundingTermsText> | null {
    if (!this.#proposal) return null;
    const { coordinator } = this.#proposal.terms;
    return readRounds(this.talk.party.primitives, meeting, coordinator, FOUNDING_READING);
  }

  /** The coordinator, and whom he has named as owners; other guests are strangers to us until then. */
  #heeds(signer: string, meeting: Meeting): boolean {
    const coordinator = this.#proposal?.terms.coordinator;
    if (coordinator === undefined) return false;
    if (signer === coordinator) return true;
    const composed = lastWord(meeting, coordinator);
    return composed?.accepts === true && composed.body.meta.signers.includes(signer);
  }

  #refuse(terms: FoundingTermsText): string | null {
    const owners = (this.#proposal?.invited ?? 0) + 1;
    return refuseFounding(terms, owners) ?? this.#options.refuse?.(terms) ?? null;
  }

  /** A word of ours, with what proves that we are invited. */
  #draft(terms: FoundingTermsText | null): Draft {
    const { primitives, peerId } = this.talk.party;
    const meta = { invitation: proveInvitation(primitives, this.#invitation, peerId) };
    const proposal = this.#proposal;
    const said = terms ?? (proposal && { ...proposal.terms, backend: 'SPHINXMIX' as const });
    if (!proposal || !said) return { data: {}, info: {}, meta };
    return { ...founded(primitives, proposal.terms.coordinator, said), meta };
  }
}
