/**
 * The coordinator's part in the founding: proposes, makes something of counter-proposals, waits for who is invited,
 * composes when all have agreed, and goes on without whom he has given up.
 */
import { canonicalText } from '../api/canonical.ts';
import { parseContributionText } from '../api/contribution.ts';
import { retrying, type Draft } from '../client/agree.ts';
import { proveInvitation, writeInvitation, type Invitation } from '../client/invitation.ts';
import { lastWord, type Meeting } from '../client/meeting.ts';
import { readRounds, sameTerms } from '../client/rounds.ts';
import { moreThanHalf } from '../mixnet/directory-texts.ts';
import type { MixnetState } from '../mixer/mixnet-state.ts';
import { judgeRounds } from './deciding.ts';
import type { FoundingTermsText, OwnersQuestion } from './decisions.ts';
import {
  composeFounding,
  founded,
  FOUNDING_READING,
  guests,
  refuseFounding,
  ruleFor,
  termsIn,
} from './founding.ts';
import { MovedOn, sayMoved } from './move.ts';
import type { FoundPeerOptions } from './options.ts';
import type { Steps } from './settle.ts';
import { Talk } from './talk.ts';

/** One run of the founding negotiation, from the coordinator's side. */
export class FoundingCoordinator {
  readonly talk: Talk;
  readonly #options: FoundPeerOptions;
  readonly #negotiationId: string;
  readonly #nextNegotiationId: string;
  readonly #tokens: readonly string[];
  readonly #before: FoundingTermsText | null;
  /** Those that still count. */
  #invitations: readonly Invitation[] = [];

  /** @param talkOf makes the talk of this negotiation */
  constructor(
    options: FoundPeerOptions,
    state: MixnetState,
    talkOf: (ground: ConstructorParameters<typeof Talk>[3]) => Talk,
  ) {
    this.#options = options;
    this.#negotiationId = state.founding_negotiation_id;
    this.#nextNegotiationId = state.log_negotiation_id as string;
    this.#tokens = state.tokens ?? [];
    this.#before = signedBefore(state);
    this.talk = talkOf({
      stage: 'founding',
      negotiationId: this.#negotiationId,
      coordinator: () => state.peer_id,
      heeds: (signer, meeting) => this.#guests(meeting).has(signer),
      draft: () => this.#draft(),
    });
    this.#withdraw(new Set(state.withdrawn));
  }

  /** What is still to be handed over, or has been. */
  get invitations(): readonly string[] {
    return this.#invitations.map(writeInvitation);
  }

  get steps(): Steps {
    return {
      opening: (meeting) => this.#proposal(meeting),
      compose: (meeting) => this.#compose(meeting),
      review: () => 'coordinator-composes',
      progress: async (meeting) => {
        await this.#look(meeting);
      },
    };
  }

  /** What the options say or, where a founding has moved here, what was agreed before it did. */
  #initial(): FoundingTermsText {
    const owners = this.#invitations.length + 1;
    if (this.#before) return { ...this.#before, rule: ruleFor(this.#before.rule, owners) };
    const { mixnetName, params, rule } = this.#options;
    return { mixnetName, backend: 'SPHINXMIX', params, rule: rule ?? moreThanHalf(owners) };
  }

  /** What we propose now: our last proposal, or what has become of it. */
  #proposal(meeting: Meeting): Draft {
    const { primitives, peerId } = this.talk.party;
    const rounds = readRounds(primitives, meeting, peerId, FOUNDING_READING);
    const owners = this.#invitations.length + 1;
    const word = rounds
      ? judgeRounds(this.talk, rounds, [...this.#guests(meeting).keys()], {
          stage: 'founding',
          refuse: (terms) => refuseFounding(terms, owners) ?? this.#options.refuse?.(terms) ?? null,
        })
      : { terms: this.#initial(), meta: {} };
    const rule = ruleFor(word.terms.rule, owners);
    const isKept = sameTerms(rule, word.terms.rule);
    return {
      ...founded(primitives, peerId, { ...word.terms, rule }),
      meta: {
        ...(isKept && word.meta),
        next_negotiation_id: this.#nextNegotiationId,
        invitations: this.#invitations.map((one) => proveInvitation(primitives, one, peerId)),
      },
    };
  }

  #compose(meeting: Meeting): (Draft & { readonly signers: readonly string[] }) | null {
    const { primitives, peerId } = this.talk.party;
    const rounds = readRounds(primitives, meeting, peerId, FOUNDING_READING);
    const joined = [...this.#guests(meeting).keys()];
    if (!rounds || joined.length < this.#invitations.length) return null;
    if (joined.some((key) => rounds.standingOf(key).stand !== 'agrees')) return null;
    const { terms } = rounds.current;
    const proposal = {
      ...founded(primitives, peerId, terms),
      meta: { next_negotiation_id: this.#nextNegotiationId },
    };
    const composed = composeFounding(primitives, proposal, [peerId, ...joined]);
    const question: OwnersQuestion = {
      terms,
      mixnetId: (composed.data as { key_id: string }).key_id,
      owners: composed.signers.map((key) => this.talk.person(key)),
    };
    const answer = this.talk.questions.ask('owners', canonicalText(composed.data), (moot) =>
      this.talk.decisions.owners(question, moot),
    );
    if (answer?.answer === 'abort') this.talk.stop(answer.reason);
    if (answer?.answer !== 'accept') return null;
    this.talk.tell({ event: 'all-agreed', stage: 'founding' });
    return composed;
  }

  async #look(meeting: Meeting): Promise<void> {
    if (meeting.consensus !== null) return;
    const state = this.talk.file.read() as MixnetState;
    if (state.moving_to !== undefined) await this.#move(meeting, state.moving_to);
    const joined = this.#guests(meeting);
    const used = new Set(joined.values());
    const pending = this.#invitations.filter((one) => !used.has(one));
    const silent = this.#silent(meeting, state.signed[this.#negotiationId] ?? null);
    this.talk.tell({ event: 'joined', joined: joined.size, invited: this.#invitations.length });
    if (pending.length > 0) {
      const invitations = pending.map(writeInvitation);
      this.talk.tell({ event: 'invitations-pending', invitations });
    }
    if (silent.length > 0) {
      this.talk.tell({ event: 'contribution-pending', stage: 'founding', from: silent });
    }
    const isGivenUp = this.talk.goesOnWithout({
      invitations: pending.map(writeInvitation),
      silent: silent.map((key) => this.talk.person(key)),
      present: [...joined.keys()]
        .filter((key) => !silent.includes(key))
        .map((key) => this.talk.person(key)),
      canGoOn: true,
    });
    if (!isGivenUp) return;
    const gone = [...pending, ...silent.flatMap((key) => joined.get(key) ?? [])];
    await this.#goOnWithout(gone, silent, state);
  }

  /** Who has joined and does not agree to the last proposal, or has not signed what was composed. */
  #silent(meeting: Meeting, signed: string | null): string[] {
    const { primitives, peerId } = this.talk.party;
    if (signed !== null) {
      const signers = parseContributionText(signed)?.meta.signers ?? [];
      return signers.filter((key) => key !== peerId && lastWord(meeting, key)?.text !== signed);
    }
    const rounds = readRounds(primitives, meeting, peerId, FOUNDING_READING);
    const keys = [...this.#guests(meeting).keys()];
    return keys.filter((key) => rounds?.standingOf(key).stand === 'silent');
  }

  /** On disk before anything is said of it. */
  async #goOnWithout(
    gone: readonly Invitation[],
    peers: readonly string[],
    state: MixnetState,
  ): Promise<void> {
    const { party, file } = this.talk;
    const withdrawn = new Set([...(state.withdrawn ?? []), ...gone.map(({ token }) => token)]);
    const hasSigned = state.signed[this.#negotiationId] !== undefined;
    const moving = hasSigned
      ? { moving_to: await retrying(party, () => party.client.createNegotiation()) }
      : {};
    file.update({ withdrawn: [...withdrawn], ...moving });
    this.#withdraw(withdrawn);
    this.talk.tell({ event: 'without', stage: 'founding', peers });
    this.talk.questions.wake();
  }

  async #move(meeting: Meeting, negotiationId: string): Promise<void> {
    const { party, file } = this.talk;
    const { moving_to: _moved, ...kept } = file.read() as MixnetState;
    const tokens = this.#invitations.map(({ token }) => token);
    if (!(await sayMoved(party, meeting, this.#draft(), negotiationId, tokens))) {
      file.write(kept);
      return;
    }
    file.write({ ...kept, founding_negotiation_id: negotiationId });
    throw new MovedOn();
  }

  #draft(): Draft {
    const { primitives, peerId } = this.talk.party;
    return founded(primitives, peerId, this.#initial());
  }

  #guests(meeting: Meeting): ReadonlyMap<string, Invitation> {
    return guests(this.talk.party.primitives, meeting, this.#invitations);
  }

  #withdraw(withdrawn: ReadonlySet<string>): void {
    this.#invitations = this.#tokens
      .filter((token) => !withdrawn.has(token))
      .map((token) => ({ negotiationId: this.#negotiationId, token }));
  }
}

/** The founding terms that we have signed in a negotiation from which this one has moved on. */
function signedBefore(state: MixnetState): FoundingTermsText | null {
  for (const [negotiationId, text] of Object.entries(state.signed)) {
    const body =
      negotiationId === state.founding_negotiation_id ? null : parseContributionText(text);
    const terms = body && termsIn(body.data);
    if (terms) return terms;
  }
  return null;
}
