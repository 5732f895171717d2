import test from 'ava';
import { canonicaliseInTurns, inTurn } from '../../filters/in-turns.ts';
import { fromUtf8 } from '../../src/bytes.ts';
import { canonicalise } from '../../src/mail/message.ts';

const PIECE_BYTES = 1024 * 1024;

/** Canonical, so many bytes long. */
function lines(bytes: number): Uint8Array {
  const data = new Uint8Array(bytes).fill(0x61);
  for (let i = 70; i + 1 < bytes; i += 72) data.set([0x0d, 0x0a], i);
  if (bytes > 1) data.set([0x0d, 0x0a], bytes - 2);
  return data;
}

for (const bytes of [0, 2, 100, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3_000_000]) {
  test(`${bytes} canonical bytes stay as they are, not copied`, async (t) => {
    const data = lines(bytes);
    t.is(await canonicaliseInTurns(data), data);
  });
}

/** What is put where in a mail of two pieces and some more. */
const FLAWS: Readonly<Record<string, readonly [at: number, text: string]>> = {
  'a bare LF at the beginning': [0, '\n'],
  'a bare LF at the end of a piece': [PIECE_BYTES - 1, '\n'],
  'a bare LF at the beginning of a piece': [PIECE_BYTES, '\n'],
  'a bare CR at the end of a piece': [PIECE_BYTES - 1, '\r'],
  'a bare CR at the beginning of a piece': [PIECE_BYTES, '\r'],
  'CR LF across two pieces': [PIECE_BYTES - 1, '\r\n'],
  'CR CR LF across two pieces': [PIECE_BYTES - 2, '\r\r\n'],
  'a last line without an end': [2_500_000 - 2, 'aa'],
  'a last line that CR ends': [2_500_000 - 1, '\r'],
};
for (const [name, [at, text]] of Object.entries(FLAWS)) {
  test(`${name} is made canonical as in one go`, async (t) => {
    const data = new Uint8Array(2_500_000).fill(0x61);
    data.set([0x0d, 0x0a], data.length - 2);
    data.set(fromUtf8(text), at);
    const whole = canonicalise(data);
    t.is(Buffer.compare(await canonicaliseInTurns(data), whole), 0);
    t.is(whole === data, name === 'CR LF across two pieces');
  });
}

test('while a large mail is looked at, whatever else there is to do has its turn', async (t) => {
  let turns = 0;
  let isOver = false;
  const others = (): void => {
    turns++;
    if (!isOver) setImmediate(others);
  };
  setImmediate(others);
  const data = lines(25_000_000);
  await canonicaliseInTurns(data);
  t.true(turns >= 23, `${turns} turns`);
  const before = turns;
  t.is(await inTurn(data, (all) => all.length), data.length);
  isOver = true;
  t.true(turns > before);
});
