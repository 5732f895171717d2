/**
 * JSON as it is signed and as it is received. Writing: one value has one text (RFC 8785). Reading:
 * a parser that refuses what two parsers could read in two ways, since a signature over canonical
 * text says nothing where poster and controller see different values.
 */
import canonicalize from 'canonicalize';
import { toUtf8 } from '../bytes.ts';

/** Nesting of arrays and objects that is read (design §7); ours need 7. */
export const DEPTH_MAX = 32;
/**
 * Values that one text may hold; each member of an object counts for four besides, as it takes the time
 * of so many. Reading and writing the most takes 50 to 100 ms; a snapshot of 256 nodes needs half of it.
 */
export const VALUES_MAX = 131_072;
const MEMBER_VALUES = 4;

/** Why a text is not read. */
export type JsonReason =
  | 'not-utf8'
  | 'not-json'
  | 'duplicate-key'
  | 'reserved-key'
  | 'number-too-large'
  | 'lone-surrogate'
  | 'too-deep'
  | 'too-many-values';

/** What a strict parser gives. */
export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: JsonReason };

/**
 * The canonical text of a JSON value (RFC 8785): keys sorted, no spaces, numbers as ECMAScript
 * writes them. Keys whose value is `undefined` are left out.
 * Throws where the value has none: a lone surrogate, NaN, a cycle, a function. That is a bug of ours.
 */
export function canonicalText(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('value has no JSON text');
  return text;
}

/**
 * Reads JSON (RFC 8259) as it came from outside, never throwing. Refused besides malformed text:
 * a key twice in one object, `__proto__`, numbers beyond 2^53 - 1, lone surrogates, depth over 32,
 * more than `valuesMax` values.
 */
export function parseStrict(received: string | Uint8Array, valuesMax = VALUES_MAX): StrictJson {
  try {
    return { ok: true, value: new StrictParser(decode(received), valuesMax).document() };
  } catch (thrown) {
    if (thrown instanceof Refusal) return { ok: false, reason: thrown.reason };
    throw thrown;
  }
}

class Refusal extends Error {
  readonly reason: JsonReason;
  constructor(reason: JsonReason) {
    super(reason);
    this.reason = reason;
  }
}

function decode(received: string | Uint8Array): string {
  if (typeof received === 'string') {
    if (!received.isWellFormed()) throw new Refusal('lone-surrogate');
    return received;
  }
  try {
    return toUtf8(received);
  } catch {
    throw new Refusal('not-utf8');
  }
}

const ESCAPED: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** One pass over the text; recursion is bounded by `DEPTH_MAX`. */
class StrictParser {
  readonly #text: string;
  #at = 0;
  #valuesLeft: number;
  // Sticky expressions of its own: a shared one would carry `lastIndex` between documents.
  readonly #space = /[ \t\n\r]*/y;
  // Everything up to a quote, a backslash or a control character: a packet's text is one such run.
  // oxlint-disable-next-line no-control-regex -- control characters are what JSON forbids here
  readonly #plain = /[^"\\\u0000-\u001f]*/y;
  readonly #number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
  readonly #hex = /[0-9a-fA-F]{4}/y;

  constructor(text: string, valuesMax: number) {
    this.#text = text;
    this.#valuesLeft = valuesMax;
  }

  document(): unknown {
    const value = this.#value(0);
    this.#take(this.#space);
    if (this.#at !== this.#text.length) throw new Refusal('not-json');
    return value;
  }

  #value(depth: number): unknown {
    this.#count(1);
    this.#take(this.#space);
    switch (this.#text.charAt(this.#at)) {
      case '{':
        return this.#object(depth + 1);
      case '[':
        return this.#array(depth + 1);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#numeral();
    }
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#open(depth);
    if (this.#next('}')) return object;
    do {
      this.#count(MEMBER_VALUES);
      this.#take(this.#space);
      const key = this.#string();
      // No document of ours has it, and every later copy would be a chance to change a prototype.
      if (key === '__proto__') throw new Refusal('reserved-key');
      if (Object.hasOwn(object, key)) throw new Refusal('duplicate-key');
      this.#expect(':');
      object[key] = this.#value(depth);
    } while (this.#next(','));
    this.#expect('}');
    return object;
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    this.#open(depth);
    if (this.#next(']')) return array;
    do {
      array.push(this.#value(depth));
    } while (this.#next(','));
    this.#expect(']');
    return array;
  }

  #string(): string {
    if (this.#text[this.#at] !== '"') throw new Refusal('not-json');
    this.#at++;
    let value = this.#take(this.#plain);
    let escapes = false;
    for (; this.#text[this.#at] === '\\'; escapes = true) {
      this.#at++;
      value += this.#escape() + this.#take(this.#plain);
    }
    if (this.#text[this.#at] !== '"') throw new Refusal('not-json');
    this.#at++;
    if (escapes && !value.isWellFormed()) throw new Refusal('lone-surrogate');
    return value;
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? '';
    if (letter !== 'u') {
      const character = ESCAPED[letter];
      if (character === undefined) throw new Refusal('not-json');
      return character;
    }
    const digits = this.#take(this.#hex);
    if (digits === '') throw new Refusal('not-json');
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #numeral(): number {
    const digits = this.#take(this.#number);
    if (digits === '') throw new Refusal('not-json');
    const value = Number(digits);
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new Refusal('number-too-large');
    return value;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw new Refusal('not-json');
    this.#at += word.length;
    return value;
  }

  #count(values: number): void {
    this.#valuesLeft -= values;
    if (this.#valuesLeft < 0) throw new Refusal('too-many-values');
  }

  #open(depth: number): void {
    if (depth > DEPTH_MAX) throw new Refusal('too-deep');
    this.#at++;
  }

  #next(character: string): boolean {
    this.#take(this.#space);
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#next(character)) throw new Refusal('not-json');
  }

  /** What a sticky expression matches here, taken; empty where it does not match. */
  #take(expression: RegExp): string {
    expression.lastIndex = this.#at;
    const match = expression.exec(this.#text)?.[0] ?? '';
    this.#at += match.length;
    return match;
  }
}
