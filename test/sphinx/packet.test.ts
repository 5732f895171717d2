import { readFileSync } from 'node:fs';
import test from 'ava';
import { portable } from '../../src/crypto/portable.ts';
import { createSphinx, refuseParams, refusePath } from '../../src/sphinx/index.ts';
import { deliverRouting, relayRouting, replyRouting } from '../../src/sphinx/index.ts';
import { primitiveSets } from './vectors.ts';

const MAIL = { group: 'X25519', headerLen: 320, bodyLen: 32_768 } as const;
const BATCH = { group: 'P-224', headerLen: 192, bodyLen: 1024 } as const;
const readme = readFileSync(new URL('../../src/sphinx/README.md', import.meta.url), 'utf8');

test('every sum in the README adds up', (t) => {
  const sums = [...readme.matchAll(/`([\d+\-×() ]+) = (\d+)`/g)];
  t.true(sums.length >= 14);
  for (const [, left = '', right] of sums) t.is(evaluate(left), Number(right), left);
});

test('the totals of the README are those of the code', (t) => {
  const mail = createSphinx(MAIL, portable);
  const batch = createSphinx(BATCH, portable);
  for (const part of ['alpha', 'beta', 'gamma', 'delta'] as const) {
    t.is(mail.partBytes[part], total(part, 3), part);
    t.is(batch.partBytes[part], total(part, 4), part);
  }
  t.is(mail.packetBytes, total('packet', 3));
  t.is(batch.packetBytes, total('packet', 4));
  t.is(mail.surbBytes, total('reply block', 3));
  t.is(batch.surbBytes, total('reply block', 4));
  t.is(mail.replyBytesMax, total('content', 2));
  t.is(mail.messageBytesMax(4), total('message beside dest `mail`', 2));
  t.is(relayRouting(new Uint8Array(16), 0).length, total('relay', 3));
  t.is(deliverRouting().length, total('deliver', 3));
  t.is(replyRouting(new Uint8Array(0), new Uint8Array(16)).length, total('reply', 3));
});

test("mail's HEADER_LEN carries six hops in both directions, D4.2's carries four", (t) => {
  for (const kind of ['forward', 'reply'] as const) {
    t.is(refusePath(MAIL, 6, kind), null);
    t.is(refusePath(MAIL, 7, kind), null);
    t.not(refusePath(MAIL, 8, kind), null);
    t.is(refusePath(BATCH, 4, kind), null);
  }
  t.is(
    refusePath(BATCH, 5, 'reply'),
    'HEADER_LEN 192 does not carry a reply path of 5 hops: it takes 229 = 32 + 4 × (1 + 26 + 16) + 1 + 24',
  );
  t.is(refusePath(MAIL, 0, 'forward'), 'a path of 0 hops is none');
  t.is(refusePath(MAIL, Number.NaN, 'forward'), 'a path of NaN hops is none');
});

for (const primitives of primitiveSets) {
  test(`a path that refusePath allows can be built, one hop more cannot (${primitives.name})`, (t) => {
    const group = primitives.group('X25519');
    const routing = relayRouting(new Uint8Array(16), 0);
    const publicKey = group.publicKey(primitives.random(32));
    const none = new Uint8Array(0);
    for (const headerLen of [192, 320, 32 + 43 + 1 + 24]) {
      const sphinx = createSphinx({ group: 'X25519', headerLen, bodyLen: 64 }, primitives);
      for (let hopCount = 1; hopCount < 9; hopCount++) {
        const hops = Array.from({ length: hopCount }, () => ({ routing, publicKey }));
        const forward = () => sphinx.build(hops, Uint8Array.of(1), none);
        const reply = () => sphinx.createSurb(hops, none);
        const check = (kind: 'forward' | 'reply', make: () => unknown) => {
          if (refusePath({ headerLen }, hopCount, kind) === null) t.notThrows(make);
          else t.throws(make, { instanceOf: RangeError, message: /the path takes \d+ = 32 \+/ });
        };
        check('forward', forward);
        check('reply', reply);
      }
    }
  });
}

test('parameters that cannot work are refused, with the sum', (t) => {
  const refused: readonly [object, RegExp][] = [
    [
      { headerLen: 36 },
      /HEADER_LEN 36 does not carry .* 37 = 32 \+ 0 × \(1 \+ 26 \+ 16\) \+ 1 \+ 4$/,
    ],
    [{ headerLen: -1 }, /HEADER_LEN -1/],
    [{ headerLen: 192.5 }, /HEADER_LEN 192.5 is no whole number/],
    [{ headerLen: 70_000 }, /up to 65535/],
    [{ bodyLen: 31 }, /BODY_LEN 31 is below 32 = 2 × 16/],
    [{ bodyLen: Number.NaN }, /BODY_LEN NaN/],
    [{ bodyLen: 2 ** 30 }, /up to 16777216/],
    [{ group: '713' }, /GROUP 713 is not known/],
  ];
  for (const [change, message] of refused) {
    const params = { ...MAIL, ...change };
    t.regex(refuseParams(params) ?? '', message);
    t.throws(() => createSphinx(params, portable), { instanceOf: RangeError, message });
  }
  t.is(refuseParams({ ...MAIL, headerLen: 37, bodyLen: 32 }), null);
});

/** The total in a cell of a README table, found by the row's first cell. */
function total(row: string, column: number): number {
  const cells = readme
    .split('\n')
    .find((line) => line.startsWith(`| ${row} |`))
    ?.split('|');
  return Number(cells?.[column]?.match(/(\d+)`? *$/)?.[1]);
}

/** Sums and products of whole numbers, with brackets: nothing else stands in the README. */
function evaluate(sum: string): number {
  const inner = /\(([^()]*)\)/.exec(sum);
  if (inner) return evaluate(sum.replace(inner[0], String(evaluate(inner[1] ?? ''))));
  return sum
    .replaceAll('- ', '+ -')
    .split('+')
    .map((term) =>
      term.split('×').reduce((product, factor) => product * Number(factor.replaceAll(' ', '')), 1),
    )
    .reduce((all, term) => all + term, 0);
}
