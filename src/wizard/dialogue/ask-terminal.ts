/**
 * The conversation in a terminal. One prompt is open at a time, and what is said meanwhile waits for its
 * end; colours go where no terminal is or NO_COLOR is set (node:util's `styleText` sees to that).
 */
import { styleText } from 'node:util';
import { intro, isCancel, log, password, select, text } from '@clack/prompts';
import { PanoramixError } from '../../errors.ts';
import { Terminal } from '../../terminal.ts';
import type { ChoicePrompt, Talk, TextPrompt } from './talk.ts';

const FRAMES = ['◒', '◐', '◓', '◑'];
const FRAME_MS = 150;
/** With the blank before the right edge, where some terminals break a line already. */
const BAR_COLUMNS = 4;
const SECRET_MASK = '•';

/** A person at a terminal. */
export class TerminalTalk implements Talk {
  readonly answers = true;
  readonly #terminal: Terminal;
  /** Settles when the prompt before has ended. */
  #before: Promise<unknown> = Promise.resolve();
  #isAsking = false;
  #unsaid: (() => void)[] = [];
  #waiting: NodeJS.Timeout | null = null;
  #waitingFor = '';

  constructor(terminal = new Terminal()) {
    this.#terminal = terminal;
  }

  intro(title: string): void {
    this.#speak(() => intro(title));
  }

  say(line: string): void {
    this.#speak(() => log.message(line));
  }

  done(line: string): void {
    this.#speak(() => log.step(line));
  }

  warn(line: string): void {
    this.#speak(() => log.warn(line));
  }

  lines(lines: readonly string[]): void {
    this.#speak(() => {
      for (const line of lines) this.#terminal.line(line);
    });
  }

  wait(line: string): void {
    this.#waitingFor = line;
    if (this.#isAsking || this.#waiting) return;
    let frame = 0;
    const show = (): void =>
      this.#terminal.progress(`${FRAMES[frame++ % FRAMES.length]}  ${this.#waitingFor}`);
    this.#waiting = setInterval(show, FRAME_MS);
    show();
  }

  end(): void {
    this.#waitingFor = '';
    this.#clear();
  }

  async text(prompt: TextPrompt): Promise<string> {
    const { proposal = null, refuse } = prompt;
    const common = {
      // Of these prompts the library wraps the message without its bar; of a choice with it.
      message: messageOf(prompt, { bar: `${styleText('gray', '│')}  ` }),
      validate: (typed: string | undefined): string | undefined => {
        const answer = typed === undefined || typed === '' ? proposal : typed;
        if (answer === null) return 'say something here';
        return refuse?.(answer) ?? undefined;
      },
    };
    return await this.#ask(prompt.moot, (signal) =>
      prompt.unseen
        ? password({ ...common, signal, mask: SECRET_MASK, clearOnError: true })
        : text({
            ...common,
            signal,
            ...(proposal && { placeholder: proposal, defaultValue: proposal }),
          }),
    );
  }

  async choose(prompt: ChoicePrompt): Promise<string> {
    return await this.#ask(prompt.moot, (signal) =>
      select<string>({
        message: messageOf(prompt),
        options: prompt.choices.map(({ value, hint, unbuilt }) => ({
          value,
          ...(hint !== undefined && { hint }),
          ...(unbuilt && { disabled: true }),
        })),
        ...(prompt.proposal != null && { initialValue: prompt.proposal }),
        showInstructions: false,
        signal,
      }),
    );
  }

  /** One prompt at a time. A void one stays open for ever, as nobody uses its answer. */
  async #ask(
    moot: AbortSignal | undefined,
    open: (signal: AbortSignal) => Promise<string | symbol>,
  ): Promise<string> {
    const turn = this.#before.then(async () => {
      if (moot?.aborted) return null;
      this.#clear();
      this.#isAsking = true;
      // The library listens on after an answer, and would write into what comes later.
      const closing = new AbortController();
      const close = (): void => closing.abort();
      moot?.addEventListener('abort', close);
      try {
        return await open(closing.signal);
      } finally {
        moot?.removeEventListener('abort', close);
        this.#isAsking = false;
        for (const say of this.#unsaid.splice(0)) say();
        if (this.#waitingFor !== '') this.wait(this.#waitingFor);
      }
    });
    this.#before = turn.catch(() => undefined);
    const answer = await turn;
    if (typeof answer === 'string') return answer;
    if (moot?.aborted) return await new Promise<never>(() => undefined);
    if (isCancel(answer)) throw new PanoramixError('wizard-left', 'left at a question');
    throw new PanoramixError('unexpected', 'the terminal gave no answer');
  }

  #speak(act: () => void): void {
    if (this.#isAsking) {
      this.#unsaid.push(act);
      return;
    }
    this.#clear();
    act();
    if (this.#waitingFor !== '') this.wait(this.#waitingFor);
  }

  #clear(): void {
    if (this.#waiting === null) return;
    clearInterval(this.#waiting);
    this.#waiting = null;
    this.#terminal.clear();
  }
}

/** The question, and below it, more quietly, what it is for. With a bar in lines that need no more breaking. */
function messageOf(
  { message, help = '' }: { readonly message: string; readonly help?: string },
  folding?: { readonly bar: string },
): string {
  const fold = (words: string): string[] =>
    folding ? folded(words, (process.stdout.columns ?? 80) - BAR_COLUMNS) : [words];
  const quiet = help === '' ? [] : fold(help).map((line) => styleText('dim', line));
  return [...fold(message), ...quiet].join(`\n${folding?.bar ?? ''}`);
}

/** Lines of so many columns, broken at blanks; a longer word has one of its own. */
function folded(words: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of words.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`;
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
