/**
 * One negotiation with people in it: who is asked what, who has stopped it, whom the coordinator waits for, and
 * what the operator is told meanwhile. What is said and signed is the business of the engine (agree.ts).
 */
import {
  abortedError,
  readAbort,
  readEquivocation,
  sayAbort,
  type Aborted,
} from '../client/abort.ts';
import type { Agreement, Draft, Party } from '../client/agree.ts';
import { fingerprintOf } from '../client/fingerprint.ts';
import { lastWord, type Meeting } from '../client/meeting.ts';
import type { ContributionBody } from '../api/contribution.ts';
import { canonicalText } from '../api/canonical.ts';
import { PanoramixError } from '../errors.ts';
import type { MixnetStateFile } from '../mixer/mixnet-state.ts';
import {
  decideByOptions,
  type Decisions,
  type MissingQuestion,
  type Person,
  type Stage,
} from './decisions.ts';
import type { PeerOptions, WizardEvent } from './options.ts';
import { Questions } from './questions.ts';

const EQUIVOCATES = 'signer-equivocates';
const PATIENCE_MS_DEFAULT = 5 * 60_000;

/** Why a wizard stops that is more than an operator's wish. */
type StopCode = 'domain-unproved' | 'agreement-refused' | 'invitation-used';

interface Stop extends Aborted {
  readonly code: StopCode | null;
}

/** What a talk is about. */
export interface TalkGround {
  readonly stage: Stage;
  readonly negotiationId: string;
  /** Null while a contributor does not know yet. */
  readonly coordinator: () => string | null;
  /** Whose stops and signatures count. */
  readonly heeds: (signer: string, meeting: Meeting) => boolean;
  /** What an abort of ours is about, with what proves that we may speak. */
  readonly draft: () => Draft;
}

/** One party's part in one negotiation. */
export class Talk {
  readonly party: Party;
  readonly file: MixnetStateFile;
  readonly decisions: Decisions;
  readonly questions = new Questions();
  readonly #ground: TalkGround;
  readonly #options: PeerOptions;
  readonly #told = new Map<string, string>();
  #stop: Stop | null = null;
  #waiting = { subject: '', sinceMs: 0, dueMs: 0 };

  constructor(party: Party, options: PeerOptions, file: MixnetStateFile, ground: TalkGround) {
    this.party = party;
    this.file = file;
    this.decisions = options.decisions ?? decideByOptions();
    this.#options = options;
    this.#ground = ground;
  }

  /** For the engine. */
  get hooks(): Required<Pick<Agreement, 'heeds' | 'sent' | 'awake'>> {
    return {
      heeds: this.#ground.heeds,
      sent: (contribution, body) => this.#sent(contribution, body),
      awake: async () => await this.questions.awake(),
    };
  }

  /** Tells the operator, each thing once. */
  tell(event: WizardEvent): void {
    const text = canonicalText(event);
    if (this.#told.get(event.event) === text) return;
    this.#told.set(event.event, text);
    this.#options.progress?.(event);
  }

  person(peerId: string): Person {
    return {
      peerId,
      fingerprint: fingerprintOf(this.party.primitives, peerId),
      isSelf: peerId === this.party.peerId,
      isCoordinator: peerId === this.#ground.coordinator(),
    };
  }

  /** Stops at the next look, aloud. */
  stop(reason: string, code: StopCode | null = null): void {
    this.#stop ??= { by: this.party.peerId, reason, code };
    this.questions.wake();
  }

  /**
   * Ends the wizard where somebody has stopped the negotiation, ourselves among them, or has signed twice.
   * @throws PanoramixError `agreement-aborted`, `signer-equivocates`, `domain-unproved`
   */
  async stopWhereDue(meeting: Meeting): Promise<void> {
    if (meeting.consensus !== null) return;
    const { coordinator, draft } = this.#ground;
    const self = this.party.peerId;
    const isOther = (signer: string): boolean =>
      signer !== self && this.#ground.heeds(signer, meeting);
    const liar = readEquivocation(meeting, isOther);
    const lie = liar === null ? null : { by: liar, reason: EQUIVOCATES };
    const aborted = this.#past(meeting) ?? this.#stop ?? lie ?? readAbort(meeting, isOther);
    if (!aborted) return;
    this.#remember(aborted);
    // The coordinator alone knows who is invited: the others hear from him of a guest that stops.
    if (aborted.by === self || aborted === lie || self === coordinator()) {
      const said = await sayAbort(this.party, meeting, draft(), aborted);
      if (said === 'too-late') return this.#forget();
      this.tell({ event: 'sent', stage: this.#ground.stage, what: 'abort', ...said });
    }
    throw this.#errorOf(aborted);
  }

  /**
   * Asks about those who are missing, after some patience and again after as much.
   * @returns whether to go on without them
   */
  goesOnWithout(question: Omit<MissingQuestion, 'about' | 'waitedMs'>): boolean {
    const { invitations, silent, present } = question;
    if (invitations.length === 0 && silent.length === 0) {
      this.questions.drop('missing');
      return false;
    }
    const nowMs = this.party.now();
    const patienceMs = this.#options.patienceMs ?? PATIENCE_MS_DEFAULT;
    const subject = canonicalText([invitations, silent, present]);
    if (subject !== this.#waiting.subject) {
      this.questions.drop('missing');
      this.#waiting = { subject, sinceMs: nowMs, dueMs: nowMs + patienceMs };
    }
    const { sinceMs, dueMs } = this.#waiting;
    if (nowMs < dueMs) return false;
    const answer = this.questions.ask('missing', `${dueMs} ${subject}`, (moot) =>
      this.decisions.missing(
        { ...question, about: this.#ground.stage, waitedMs: nowMs - sinceMs },
        moot,
      ),
    );
    if (answer?.answer === 'wait') this.#waiting.dueMs = nowMs + patienceMs;
    if (answer?.answer === 'abort') this.stop(answer.reason);
    return answer?.answer === 'go-on-without' && question.canGoOn;
  }

  #sent(contribution: number, { meta }: ContributionBody): void {
    const { stage, coordinator } = this.#ground;
    const isOwn = coordinator() === this.party.peerId;
    const what = meta.accept ? 'accept' : isOwn ? 'proposal' : 'answer';
    this.tell({ event: 'sent', stage, what, contribution });
  }

  /** A stop that is on disk, or that we have said though our file does not tell of it. */
  #past(meeting: Meeting): Aborted | null {
    const known = this.file.read()?.aborted;
    if (known?.negotiation_id === this.#ground.negotiationId) {
      const { by, reason, told_by: toldBy } = known;
      return { by, reason, ...(toldBy !== undefined && { toldBy }) };
    }
    const own = lastWord(meeting, this.party.peerId);
    return own && readAbort({ ...meeting, statements: [own] }, () => true);
  }

  #remember({ by, reason, toldBy }: Aborted): void {
    const { negotiationId } = this.#ground;
    const told = toldBy === undefined ? {} : { told_by: toldBy };
    this.file.update({ aborted: { negotiation_id: negotiationId, by, reason, ...told } });
  }

  /** All had signed before we stopped. */
  #forget(): void {
    const before = this.file.read();
    if (!before) return;
    const { aborted: _aborted, ...kept } = before;
    this.file.write(kept);
    this.#stop = null;
  }

  #errorOf(aborted: Aborted): PanoramixError {
    const { by, reason, toldBy } = aborted;
    const code = by === this.party.peerId ? this.#stop?.code : null;
    if (code) return new PanoramixError(code, reason);
    if (reason !== EQUIVOCATES || toldBy !== undefined) {
      return abortedError(this.party.peerId, aborted);
    }
    const detail = `${by.slice(0, 8)}… has signed two different texts`;
    return new PanoramixError('signer-equivocates', detail);
  }
}
