/**
 * One question of a wizard: its name (D4.2's where it has one), its words, its default, what a good answer
 * is, and where in the configuration file the answer stands.
 */
import { isInsecureUrl } from '../../api/controller-url.ts';

/** An answer as it stands in the configuration file. */
export type Value = string | number | boolean | readonly string[];

/** What an answer reads as, or what is wrong with it. */
export type Parsed = { readonly value: Value } | { readonly problem: string };

/** One of several answers. */
export interface Choice {
  readonly value: string;
  /** A few words beside it. */
  readonly hint?: string;
  /** Shown, but cannot be chosen. */
  readonly unbuilt?: true;
}

/** A question. */
export interface Question {
  /** As in D4.2 §5 and in an answers file, such as `BODY_LEN`. */
  readonly name: string;
  /** Without the dashes, such as `body-len`. */
  readonly flag: string;
  /** Where the answer stands in the configuration file; null where it is not kept there. */
  readonly key: readonly string[] | null;
  /** D4.2's words where it has some; `{default}` stands for the default. */
  readonly message: string;
  /** One line: what it is for. */
  readonly help: string;
  readonly choices?: readonly Choice[];
  /** What is proposed; none where an operator must say it. */
  readonly proposal?: string;
  readonly parse: (text: string) => Parsed;
  /** Nobody else may read a file with the answer. */
  readonly isPrivate?: true;
  /** Not shown while it is typed. */
  readonly isUnseen?: true;
}

/** Any text of at most so many characters, without controls that a terminal would obey. */
export function parseText(lengthMax: number, isEmptyFine = false) {
  return (text: string): Parsed => {
    const value = text.trim();
    if (value === '' && !isEmptyFine) return { problem: 'say something here' };
    if (value.length > lengthMax) return { problem: `at most ${lengthMax} characters` };
    return /\p{Cc}/u.test(value) ? { problem: 'no control characters' } : { value };
  };
}

/** Text of one shape. */
export function parseShape(shape: RegExp, expected: string) {
  return (text: string): Parsed => {
    const value = text.trim();
    return shape.test(value) ? { value } : { problem: `expected ${expected}` };
  };
}

/** A number within bounds. */
export function parseNumber(min: number, max: number, isWhole = true) {
  return (text: string): Parsed => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    const isFine = isWhole ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (isFine && value >= min && value <= max) return { value };
    return { problem: `expected a ${isWhole ? 'whole ' : ''}number from ${min} to ${max}` };
  };
}

/** A controller's URL, https or on this host, with the slash at its end that D4.2 writes. */
export function parseUrl(text: string): Parsed {
  const url = URL.parse(text.trim());
  if (!url || !/^https?:$/.test(url.protocol)) {
    return { problem: 'expected a URL such as https://mix.example.org/' };
  }
  if (isInsecureUrl(url)) return { problem: 'plain HTTP to another host: take its https URL' };
  if (url.search || url.hash || url.username) return { problem: 'no ?, # or user name in it' };
  return { value: url.href.endsWith('/') ? url.href : `${url.href}/` };
}

/** HOST:PORT. */
export function parseAddress(text: string): Parsed {
  const value = text.trim();
  const port = Number(/^(?:\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(value)?.[1]);
  // Port 0 would be another one at each start.
  if (port >= 1 && port <= 65_535) return { value };
  return { problem: 'expected HOST:PORT, such as 127.0.0.1:10034' };
}

/** One of the choices, in any case; another spelling may stand for one. */
export function parseChoice(
  choices: readonly Choice[],
  spellings: Readonly<Record<string, string>> = {},
) {
  return (text: string): Parsed => {
    const said = text.trim();
    const meant = (spellings[said] ?? said).toLowerCase();
    const choice = choices.find(({ value }) => value.toLowerCase() === meant);
    if (choice?.unbuilt) return { problem: `${choice.value} is not built yet` };
    if (choice) return { value: choice.value };
    return { problem: `expected one of ${choices.map(({ value }) => value).join(', ')}` };
  };
}

/** Words between commas or blanks, each of one shape. */
export function parseList(shape: RegExp, expected: string, isEmptyFine = false) {
  return (text: string): Parsed => {
    const value = text.split(/[\s,]+/).filter((word) => word !== '');
    const bad = value.find((word) => !shape.test(word));
    if (bad !== undefined) return { problem: `"${bad.slice(0, 80)}": expected ${expected}` };
    if (value.length === 0 && !isEmptyFine) return { problem: `expected ${expected}` };
    return { value: [...new Set(value.map((word) => word.toLowerCase()))] };
  };
}

/** An answer as a person would type it. */
export function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/** The question's words with a default in them, as D4.2 writes them. */
export function wordsOf(question: Question, proposal: string | null): string {
  const said = proposal === null || proposal === '' ? '' : ` (default: '${proposal}')`;
  return question.message.replace('{default}', said);
}
