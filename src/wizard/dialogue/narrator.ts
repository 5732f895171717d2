/** Tells a person what the engine does: each thing once, and in between what is waited for. */
import type { WizardEvent } from '../options.ts';
import { describe } from './sayings.ts';
import type { Talk } from './talk.ts';

/** Events that say how far something is: the last one counts. */
const PROGRESS = new Set<WizardEvent['event']>(['joined', 'nodes-named']);

/** Shown whole by the decision about it, or said by the interview. */
const SAID_ELSEWHERE = new Set<WizardEvent['event']>(['registered', 'proposed']);
const ALARMING = new Set<WizardEvent['event']>(['few-mixes', 'own-domains', 'without', 'left-out']);
const REACHED = new Set<WizardEvent['event']>([
  'consensus',
  'founded',
  'gateway-opened',
  'stop-opened',
  'nodes-agreed',
]);

/** One wizard's run. */
export class Narrator {
  readonly #talk: Talk;
  readonly #told = new Set<string>();
  readonly #proposed = new Set<number>();

  constructor(talk: Talk) {
    this.#talk = talk;
  }

  tell(event: WizardEvent): void {
    if (event.event === 'troubled') {
      // Each time anew: a wait of days may see several.
      if (event.trouble === null) this.#talk.say(describe(event));
      else this.#talk.warn(describe(event));
      return;
    }
    if (SAID_ELSEWHERE.has(event.event)) return;
    const text = this.#wordsOf(event);
    if (text === '') return;
    if (PROGRESS.has(event.event)) {
      this.#talk.wait(text);
      return;
    }
    // Running through steps that were done already tells the same again.
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#say(event, text);
  }

  /** D4.2 calls the first proposal the initial one. */
  #wordsOf(event: WizardEvent): string {
    const text = describe(event);
    if (event.event !== 'sent' || event.what !== 'proposal') return text;
    this.#proposed.add(event.contribution);
    return this.#proposed.size === 1 ? text : text.replace('initial', 'new');
  }

  #say(event: WizardEvent, text: string): void {
    if (event.event === 'invitations') {
      // Without any mark before them, so that a line is copied whole.
      if (event.invitations.length > 0) this.#talk.lines(text.split('\n'));
    } else if (ALARMING.has(event.event)) this.#talk.warn(text);
    else if (REACHED.has(event.event)) this.#talk.done(text);
    else this.#talk.say(text);
  }
}
