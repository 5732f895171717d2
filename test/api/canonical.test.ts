import test from 'ava';
import fc from 'fast-check';
import {
  canonicalText,
  DEPTH_MAX,
  VALUES_MAX,
  type JsonReason,
  parseStrict,
} from '../../src/api/canonical.ts';

test('canonical text is that of RFC 8785, section 3.2', (t) => {
  const value = {
    numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: '\u20ac$\u000f\nA\'B"\\\\"/',
    literals: [null, true, false],
  };
  t.is(
    canonicalText(value),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
});

test('keys are sorted by UTF-16 code units, as RFC 8785, section 3.2.3 has them', (t) => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, ö: 7 };
  t.deepEqual(Object.values(JSON.parse(canonicalText(value)) as object), [4, 2, 6, 7, 1, 5, 3]);
});

test('a value without a canonical text is a bug and throws', (t) => {
  for (const value of [Number.NaN, Infinity, '\ud800', { a: '\udc00' }, undefined]) {
    t.throws(() => canonicalText(value));
  }
});

const refused: readonly (readonly [string, string | Uint8Array, JsonReason])[] = [
  ['nothing', '', 'not-json'],
  ['two values', '1 2', 'not-json'],
  ['a trailing comma', '[1,]', 'not-json'],
  ['a key without quotes', '{a:1}', 'not-json'],
  ['a missing colon', '{"a" 1}', 'not-json'],
  ['a string that does not end', '"abc', 'not-json'],
  ['a control character in a string', '"a\nb"', 'not-json'],
  ['an unknown escape', '"\\x41"', 'not-json'],
  ['a short escape', '"\\u12"', 'not-json'],
  ['a leading zero', '[01]', 'not-json'],
  ['a plus sign', '+1', 'not-json'],
  ['a comment', '/* */1', 'not-json'],
  ['NaN', 'NaN', 'not-json'],
  ['a wrong word', 'trve', 'not-json'],
  ['an unclosed object', '{"a":1', 'not-json'],
  ['a no-break space between tokens', '[1,\u00a02]', 'not-json'],
  ['a key twice', '{"a":1,"a":2}', 'duplicate-key'],
  ['a key twice, once escaped', '{"a":1,"\\u0061":2}', 'duplicate-key'],
  ['a key twice, deep down', '[{"b":{"a":1,"c":0,"a":1}}]', 'duplicate-key'],
  ['a prototype', '{"__proto__":{"accept":true}}', 'reserved-key'],
  ['2^53', '9007199254740992', 'number-too-large'],
  ['2^53 + 1, which would be read as another number', '9007199254740993', 'number-too-large'],
  ['a number over every range', '[1e400]', 'number-too-large'],
  ['a negative one', '-9007199254740993', 'number-too-large'],
  ['a lone high surrogate', '"\\ud800"', 'lone-surrogate'],
  ['a lone low surrogate', '"\\udc00x"', 'lone-surrogate'],
  ['surrogates in the wrong order', '"\\ude00\\ud83d"', 'lone-surrogate'],
  ['a lone surrogate in a key', '{"\\ud800":1}', 'lone-surrogate'],
  ['a lone surrogate unescaped', '"\ud800"', 'lone-surrogate'],
  ['arrays too deep', '['.repeat(DEPTH_MAX + 1) + ']'.repeat(DEPTH_MAX + 1), 'too-deep'],
  ['a hundred thousand brackets', '['.repeat(100_000), 'too-deep'],
  ['objects too deep', '{"a":'.repeat(DEPTH_MAX + 1), 'too-deep'],
  ['too many values', `[${'0,'.repeat(VALUES_MAX)}0]`, 'too-many-values'],
  ['too many members', `[${'{"a":0},'.repeat(VALUES_MAX / 5)}0]`, 'too-many-values'],
  ['Latin-1', Uint8Array.of(0x22, 0xe4, 0x22), 'not-utf8'],
  ['an overlong encoding', Uint8Array.of(0x22, 0xc0, 0x80, 0x22), 'not-utf8'],
  ['a surrogate in UTF-8', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), 'not-utf8'],
];

for (const [what, text, reason] of refused) {
  test(`what two parsers may read differently is refused: ${what}`, (t) => {
    t.deepEqual(parseStrict(text), { ok: false, reason });
  });
}

const taken: readonly (readonly [string, string, unknown])[] = [
  ['2^53 - 1', '9007199254740991', Number.MAX_SAFE_INTEGER],
  ['a surrogate pair', '"\\ud83d\\ude00"', '😀'],
  ['white space around everything', ' { "a" : [ 1 , 2 ] } \r\n', { a: [1, 2] }],
  ['every escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"', '"\\/\b\f\n\r\tA'],
  ['names of the prototype that are ordinary keys', '{"toString":1}', { toString: 1 }],
  ['empty containers', '[{},[]]', [{}, []]],
  ['the deepest nesting', '['.repeat(DEPTH_MAX) + ']'.repeat(DEPTH_MAX), nested(DEPTH_MAX)],
];

for (const [what, text, value] of taken) {
  test(`what has one meaning is read: ${what}`, (t) => {
    t.deepEqual(parseStrict(text), { ok: true, value });
    t.deepEqual(parseStrict(new TextEncoder().encode(text)), { ok: true, value });
  });
}

const values = fc.jsonValue({ depthSize: 'small', stringUnit: 'binary' }).filter(isPlain);

test('whatever has a canonical text is read back as it was', (t) => {
  fc.assert(
    fc.property(values, (value) => {
      const read = parseStrict(canonicalText(value));
      t.true(read.ok);
      t.is(canonicalText((read as { value: unknown }).value), canonicalText(value));
    }),
  );
});

test('whatever is read is what JSON.parse reads', (t) => {
  const mutated = fc
    .tuple(values, fc.nat(), fc.constantFrom('', '"', '\\', ',', '0', '{', ' ', '\\u0000', 'e9'))
    .map(([value, at, insert]) => {
      const text = JSON.stringify(value);
      const place = at % (text.length + 1);
      return text.slice(0, place) + insert + text.slice(place);
    });
  fc.assert(
    fc.property(mutated, (text) => {
      const read = parseStrict(text);
      if (read.ok) t.deepEqual(read.value, JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
});

function nested(depth: number): unknown {
  return depth === 1 ? [] : [nested(depth - 1)];
}

function isPlain(value: unknown): boolean {
  const text = JSON.stringify(value);
  return !text.includes('__proto__') && parseStrict(text).ok;
}
