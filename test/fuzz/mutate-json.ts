/**
 * Changes to JSON that keep it JSON, so that they get past the parser: values of other types and at
 * their limits, keys more and less, twice and reserved, other depths, other spellings of the same value.
 */
import { fromUtf8 } from '../../src/bytes.ts';
import type { Around, Mutation } from './mutation.ts';
import type { Dice } from './random.ts';
import { lossyText } from './target.ts';

/** Texts in place of a value: what `JSON.stringify` would never write is among them. */
const VALUES = [
  'null', 'true', 'false', '0', '-0', '1', '-1', '1.5', '1e400', '-1e-400', '9007199254740991',
  '9007199254740993', '2147483648', '1E+2', '""', '"a"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"',
  '"__proto__"', '"\\u005f"', '[]', '{}', '[null]', '{"":0}', '{"a":1,"a":2}', '{"__proto__":{}}',
  '{"toString":1}', '"2026-02-30T00:00:00Z"', '"0000-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999Z"',
]; // prettier-ignore
const KEYS = ['a', '', '__proto__', 'constructor', 'toString', 'length', 'data', 'meta', 'accept'];
const DEPTHS = [1, 30, 31, 32, 33, 2000];
const LONG = [65, 129, 1025, 70_000];

/** A place in a document: its parent, and under which key or index it stands. */
interface Place {
  readonly parent: Record<string, unknown> | unknown[];
  readonly key: string;
}

/** A piece of JSON text as it is to be written, in the tree that is written. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A change of one place of the document; texts that are no JSON stay as they are. */
function onPlace(change: (place: Place, around: Around) => void): Mutation {
  return (input, around) => {
    const root = { root: parse(lossyText(input)) };
    if (root.root === undefined) return input;
    change(around.dice.pick(placesOf(root)), around);
    try {
      return fromUtf8(write(root.root, around.dice.once(8) ? around.dice : null).toWellFormed());
    } catch (thrown) {
      // Deeper than the stack, after several changes of the kind.
      if (thrown instanceof RangeError) return input;
      throw thrown;
    }
  };
}

const otherValue = onPlace((place, { dice }) => set(place, new Raw(dice.pick(VALUES))));

const otherText = onPlace((place, { dice, dictionary }) => {
  const value = get(place);
  if (typeof value === 'number') {
    set(place, value + dice.pick([-1, 1, 0.5, 1e9, -2 * value]));
    return;
  }
  if (typeof value !== 'string') return;
  const cut = dice.below(value.length + 1);
  const word = dictionary.length > 0 ? lossyText(dice.pick(dictionary)) : 'x';
  const changes = [
    value.slice(0, cut) + value.slice(cut + 1),
    value.slice(0, cut) + word + value.slice(cut),
    value.slice(0, cut) + String.fromCharCode(dice.below(0x180)) + value.slice(cut + 1),
    value.toUpperCase(),
    `${value} `,
    value.repeat(2),
    word,
    'a'.repeat(dice.pick(LONG)),
  ];
  set(place, dice.pick(changes));
});

const removePlace = onPlace(({ parent, key }) => {
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
});

const addKey = onPlace((place, { dice }) => {
  const value = get(place);
  if (Array.isArray(value)) {
    const copies = dice.once(10) ? 300 : 1;
    for (let i = 0; i < copies; i++) value.push(value.at(0) ?? null);
  } else if (isTree(value)) {
    Object.defineProperty(value, dice.pick(KEYS), {
      value: new Raw(dice.pick(VALUES)),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
});

/** What stands elsewhere in this document or another: right in form, wrong in place. */
const foreignValue = onPlace((place, { dice, other }) => {
  const root = { root: parse(lossyText(other)) };
  if (root.root !== undefined) set(place, get(dice.pick(placesOf(root))));
});

const deeper = onPlace((place, { dice }) => {
  const depth = dice.pick(DEPTHS);
  const [open, close] = dice.pick([
    ['[', ']'],
    ['{"a":', '}'],
  ] as const);
  set(place, new Raw(open.repeat(depth) + write(get(place), null) + close.repeat(depth)));
});

/** One key twice: the texts of both parsers must not differ. */
const twice = onPlace((place, { dice }) => {
  const value = get(place);
  if (!isTree(value) || Array.isArray(value) || Object.keys(value).length === 0) return;
  const key = dice.pick(Object.keys(value));
  const text = write(value, null);
  set(place, new Raw(`${text.slice(0, -1)},${JSON.stringify(key)}:${dice.pick(VALUES)}}`));
});

export const JSON_MUTATIONS: readonly Mutation[] = [
  otherValue,
  otherValue,
  otherText,
  otherText,
  removePlace,
  addKey,
  foreignValue,
  foreignValue,
  deeper,
  twice,
];

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Raw);
}

function placesOf(root: Record<string, unknown>): Place[] {
  const places: Place[] = [];
  const open: Record<string, unknown>[] = [root];
  for (
    let parent = open.pop();
    parent !== undefined && places.length < 5_000;
    parent = open.pop()
  ) {
    for (const key of Object.keys(parent)) {
      places.push({ parent, key });
      const value = parent[key];
      if (isTree(value)) open.push(value);
    }
  }
  return places;
}

function get({ parent, key }: Place): unknown {
  return (parent as Record<string, unknown>)[key];
}

function set({ parent, key }: Place, value: unknown): void {
  (parent as Record<string, unknown>)[key] = value;
}

/** With dice, blanks and escapes that mean nothing are put in. */
function write(value: unknown, dice: Dice | null): string {
  const blank = (): string => (dice?.once(4) ? dice.pick([' ', '\n', '\t\r\n']) : '');
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) {
    return `[${value.map((item) => blank() + write(item, dice)).join(',')}${blank()}]`;
  }
  if (!isTree(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value).map(
    (key) => `${blank()}${JSON.stringify(key)}${blank()}:${write(value[key], dice)}`,
  );
  return `{${members.join(',')}${blank()}}`;
}
