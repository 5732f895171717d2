/** JSON as it is received and as it is signed, beside the parser of the language. */
import { isDeepStrictEqual } from 'node:util';
import { canonicalText, parseStrict } from '../../../src/api/canonical.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import { textSeeds } from '../seeds.ts';
import { hold, lossyText, type Target } from '../target.ts';

const WORDS = [
  '{', '}', '[', ']', ':', ',', '"', '\\', '\\u', '\\ud800', '\\udc00', '"__proto__":', '-', '0', '1e', 'E+',
  'null', 'true', 'false', ' ', '\xef\xbb\xbf', '\xed\xa0\x80', '\0', '\x7f', '\xc2\xa0', '/*', "'", 'NaN',
]; // prettier-ignore

export function openJson(): Target {
  return {
    seeds: textSeeds([
      '{"a":[1,-2.5,1e3,true,false,null,"x\\n\\u00e4\\ud83d\\ude00"],"":{"b":{}}}',
      '[[[[[[[]]]]]]]',
      '"\u2028"',
      '-0',
      '{"a":1,"A":2,"\\u0061b":3}',
      '9007199254740993',
    ]),
    mutations: [...JSON_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 65_536,
    shortRuns: 15_000,
    run(input) {
      const read = parseStrict(input);
      const plain = plainly(input);
      if (!read.ok) {
        // What the language refuses is no JSON; what it takes has one of the other reasons.
        const isOurs = read.reason !== 'not-json' && read.reason !== 'not-utf8';
        hold(plain === undefined || isOurs, 'good JSON is called none');
        return;
      }
      hold(plain !== undefined, 'what is no JSON is taken');
      hold(
        isDeepStrictEqual(withoutZeroSign(plain.value), withoutZeroSign(read.value)),
        'two parsers see two values',
      );
      hold(membersIn(lossyText(input)) === countMembers(read.value), 'a key is taken twice');
      const text = canonicalText(read.value);
      const again = parseStrict(text);
      hold(again.ok && canonicalText(again.value) === text, 'canonical text is not canonical');
      hold(text.isWellFormed(), 'canonical text is no text');
      hold(!/[{,]"__proto__":/.test(text), 'a reserved key is taken');
    },
  };
}

/** Colons outside of strings: one for each member. */
function membersIn(text: string): number {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1;
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const values: unknown[] = Object.values(value);
  const own = Array.isArray(value) ? 0 : values.length;
  return values.reduce((sum: number, one) => sum + countMembers(one), own);
}

/** A text that is JSON to the language, read from strict UTF-8; a byte order mark is none. */
function plainly(input: Uint8Array): { readonly value: unknown } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

/** -0 is written as 0 (RFC 8785 §3.2.2.3), and no value of ours is -0. */
function withoutZeroSign(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}
