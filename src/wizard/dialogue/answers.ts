/**
 * Where answers come from, first to last: a flag, an answers file, the configuration file (which an earlier
 * run may have filled), somebody at the terminal. Each goes into the configuration file as it is given.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { PanoramixError } from '../../errors.ts';
import { readPrivate } from '../../key-files.ts';
import type { ConfigFile } from './config-file.ts';
import { textOf, wordsOf, type Parsed, type Question, type Value } from './question.ts';
import type { Talk } from './talk.ts';

/** An answer, and where it stood. */
interface Said {
  readonly text: string;
  /** Such as `--body-len`. */
  readonly from: string;
}

/** What a wizard was told beforehand. */
export interface Sources {
  readonly config: ConfigFile;
  /** By question name: what flags, environment and answers file say. */
  readonly said: ReadonlyMap<string, Said>;
  readonly talk: Talk;
  /** Take every proposal (`--yes`). */
  readonly takesProposals: boolean;
}

/** The answers of one run. */
export class Answers {
  readonly config: ConfigFile;
  readonly talk: Talk;
  readonly #sources: Sources;
  #isReview = false;

  constructor(sources: Sources) {
    this.#sources = sources;
    this.config = sources.config;
    this.talk = sources.talk;
  }

  /** From now on what the configuration file says is asked again, as a default. */
  review(): void {
    this.#isReview = true;
  }

  /**
   * The answer to a question, asked if need be.
   * @param proposal what is proposed; default: the question's own
   * @throws PanoramixError `config-invalid` naming flag and key where nobody gives one, `wizard-left`
   */
  async ask(question: Question, proposal = question.proposal ?? null): Promise<Value> {
    const kept = this.#kept(question);
    const said = this.#sources.said.get(question.name);
    if (said) return await this.#take(question, said, kept);
    if (kept !== null && this.#isReview) return await this.askAnew(question, textOf(kept));
    if (kept !== null) {
      this.talk.say(`${question.name}: ${textOf(kept)}`);
      return kept;
    }
    return await this.askAnew(question, proposal);
  }

  /** The same, whatever the configuration file says. */
  async askAnew(question: Question, proposal = question.proposal ?? null): Promise<Value> {
    const { takesProposals, talk } = this.#sources;
    if (takesProposals && proposal !== null) return this.#keep(question, read(question, proposal));
    if (!talk.answers) throw unanswered(question, this.config.path);
    return this.#keep(question, read(question, await prompt(talk, question, proposal)));
  }

  /** What flags, files or the configuration say already, null where nothing does. */
  given(question: Question): Value | null {
    const said = this.#sources.said.get(question.name);
    return said ? readFrom(question, said) : this.#kept(question);
  }

  /** A flag that contradicts the file is somebody's mistake: the file is never overwritten unasked. */
  async #take(question: Question, said: Said, kept: Value | null): Promise<Value> {
    const value = readFrom(question, said);
    if (kept !== null && textOf(kept) !== textOf(value)) {
      const both = `${said.from} says ${textOf(value)}, ${this.config.path} says ${textOf(kept)}`;
      if (!this.talk.answers) throw new PanoramixError('config-invalid', both);
      const which = await this.talk.choose({
        message: `${question.name}: ${both}`,
        choices: [{ value: textOf(kept) }, { value: textOf(value) }],
      });
      if (which === textOf(kept)) return kept;
    }
    return this.#keep(question, value);
  }

  #kept(question: Question): Value | null {
    const value = question.key && this.config.get(question.key);
    if (value === null || value === undefined) return null;
    const from = `${this.config.path}: ${question.key?.join('.')}`;
    return readFrom(question, { text: textOf(value), from });
  }

  #keep(question: Question, value: Value): Value {
    if (question.key && textOf(this.config.get(question.key) ?? '\0') !== textOf(value)) {
      this.config.set(question.key, value);
    }
    return value;
  }
}

/**
 * What flags, environment and an answers file say.
 * @param flags by question name; undefined where a flag was not given
 * @param path of an answers file: YAML, question names and their answers
 * @throws PanoramixError `config-invalid` for a name that is no question's, or where others may read an invitation
 */
export function collectSaid(
  questions: readonly Question[],
  flags: ReadonlyMap<string, string>,
  path: string | undefined,
): Map<string, Said> {
  const said = new Map<string, Said>();
  for (const [name, value] of path === undefined ? [] : readAnswers(path, questions)) {
    said.set(name, { text: textOf(value), from: `${path}: ${name}` });
  }
  for (const question of questions) {
    const text = flags.get(question.name);
    if (text !== undefined) said.set(question.name, { text, from: `--${question.flag}` });
  }
  return said;
}

function readAnswers(path: string, questions: readonly Question[]): [string, unknown][] {
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new PanoramixError('config-invalid', `${path} cannot be read as YAML`, error);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new PanoramixError('config-invalid', `${path} is no list of names and answers`);
  }
  const entries = Object.entries(content);
  for (const [name] of entries) {
    const question = questions.find((one) => one.name === name);
    if (!question) {
      const names = questions.map((one) => one.name).join(', ');
      throw new PanoramixError(
        'config-invalid',
        `${path}: no question is called ${name}: ${names}`,
      );
    }
    // Whoever holds an invitation takes part; a secret is the peer itself.
    if (question.isPrivate) readPrivate(path);
  }
  return entries;
}

function readFrom(question: Question, { text, from }: Said): Value {
  const parsed = question.parse(text);
  if ('value' in parsed) return parsed.value;
  throw new PanoramixError('config-invalid', `${from}: ${parsed.problem}`);
}

function read(question: Question, text: string): Value {
  return readFrom(question, { text, from: question.name });
}

async function prompt(talk: Talk, question: Question, proposal: string | null): Promise<string> {
  const { choices, help, parse: parseAnswer } = question;
  const message = wordsOf(question, proposal);
  if (choices) return await talk.choose({ message, help, choices, proposal });
  const refuse = (text: string): string | null => problemOf(parseAnswer(text));
  return await talk.text({
    message,
    help,
    proposal,
    refuse,
    ...(question.isUnseen && { unseen: true }),
  });
}

function problemOf(parsed: Parsed): string | null {
  return 'problem' in parsed ? parsed.problem : null;
}

function unanswered({ name, flag, key, help }: Question, path: string): PanoramixError {
  const places = [
    `--${flag}`,
    `${name} in the file of --answers`,
    ...(key ? [`${key.join('.')} in ${path}`] : []),
  ];
  return new PanoramixError(
    'config-invalid',
    `${name} has no answer: give ${places.join(', or ')} (${help})`,
  );
}
