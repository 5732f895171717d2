/**
 * The conversation with whoever runs a wizard: what is said, asked and waited for. One implementation is a
 * terminal (ask-terminal.ts), the other is nobody: machines, whose answers are flags and files.
 */
import { PanoramixError } from '../../errors.ts';
import type { Choice } from './question.ts';

/** What is asked for a line of text. */
export interface TextPrompt {
  readonly message: string;
  readonly help?: string;
  /** Taken where nothing is typed; null: something must be typed. */
  readonly proposal?: string | null;
  /** What is wrong with an answer, or null. */
  readonly refuse?: (text: string) => string | null;
  /** Not shown while it is typed. */
  readonly unseen?: boolean;
  /** The question has become void. */
  readonly moot?: AbortSignal;
}

/** What is asked with a few answers to choose from. */
export interface ChoicePrompt {
  readonly message: string;
  readonly help?: string;
  readonly choices: readonly Choice[];
  readonly proposal?: string | null;
  readonly moot?: AbortSignal;
}

/** A conversation. Text that comes from others must have passed a schema without control characters. */
export interface Talk {
  /** Whether somebody is there to answer. */
  readonly answers: boolean;
  intro(text: string): void;
  say(text: string): void;
  done(text: string): void;
  warn(text: string): void;
  /** Lines without any decoration, to be copied. */
  lines(lines: readonly string[]): void;
  /** What is waited for, until anything else is said. */
  wait(text: string): void;
  /** Ends the last wait and leaves the terminal as it was. */
  end(): void;
  /** Throws `wizard-left` where somebody leaves instead; never settles where the question is void. */
  text(prompt: TextPrompt): Promise<string>;
  choose(prompt: ChoicePrompt): Promise<string>;
}

/** Nobody is there: what is said goes to `write`, and every question is an error. */
export function nobody(write: (line: string) => void): Talk {
  let waited = '';
  return {
    answers: false,
    intro: write,
    say: write,
    done: write,
    warn: write,
    lines: (lines) => lines.forEach(write),
    wait: (text) => {
      if (text !== waited) write(text);
      waited = text;
    },
    end: () => undefined,
    text: missing,
    choose: missing,
  };
}

function missing({ message }: { readonly message: string }): Promise<never> {
  return Promise.reject(
    new PanoramixError(
      'config-invalid',
      `nobody is there to answer "${message}": use a terminal, or --yes`,
    ),
  );
}
