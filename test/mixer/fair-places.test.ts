import test from 'ava';
import fc from 'fast-check';
import { FairPlaces } from '../../src/mixer/fair-places.ts';
import { PLACE_MAX } from '../../src/redis/queues.ts';

const EXIT = 'x';
let mails = 0;

interface Waiting {
  readonly sender: string;
  readonly messageId: string;
  readonly place: number;
}

/** A queue as BullMQ orders it: by place, then by coming. */
class Line {
  readonly places = new FairPlaces();
  waiting: Waiting[] = [];

  add(sender: string, fragments: number): string {
    const messageId = `m${mails++}`;
    const front = this.waiting[0]?.place ?? null;
    const places = this.places.take({ exit: EXIT, sender, messageId, fragments }, front);
    const added = places.map((place) => ({ sender, messageId, place }));
    this.waiting = [...this.waiting, ...added].toSorted((a, b) => a.place - b.place);
    return messageId;
  }

  /** How many leave until the last fragment of a mail has. */
  ticksUntilGone(messageId: string): number {
    return this.waiting.findLastIndex((one) => one.messageId === messageId) + 1;
  }
}

test('a small mail waited behind all of a large one of somebody else', (t) => {
  const line = new Line();
  line.add('eve@alpha.test', 800);
  line.waiting.splice(0, 100);
  t.true(line.ticksUntilGone(line.add('ada@alpha.test', 2)) <= 5);
});

test('a small mail of the same sender does not wait behind his large one, either', (t) => {
  const line = new Line();
  line.add('eve@alpha.test', 800);
  t.true(line.ticksUntilGone(line.add('EVE@alpha.test', 1)) <= 4);
});

test('two large mails get on together, and both are through when both have had their ticks', (t) => {
  const line = new Line();
  const [first, second] = [line.add('ada@alpha.test', 400), line.add('eve@alpha.test', 400)];
  t.true(line.ticksUntilGone(first) >= 798);
  t.is(line.ticksUntilGone(second), 800);
});

test('who sends many small mails at once does not stand before others as often', (t) => {
  const line = new Line();
  for (let i = 0; i < 300; i++) line.add('eve@alpha.test', 1);
  t.true(line.ticksUntilGone(line.add('ada@alpha.test', 3)) <= 7);
});

test('who sends many large mails at once gets little more than one place in the row', (t) => {
  const line = new Line();
  for (let i = 0; i < 20; i++) line.add('eve@alpha.test', 500);
  // 1 + 1/2 + … + 1/20 is 3.6.
  t.true(line.ticksUntilGone(line.add('ada@alpha.test', 100)) <= 100 * (1 + 3.7));
});

test('as long as senders wait, each with one mail, their turns differ by two at most', (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(sizes, (fragments) => {
      const line = new Line();
      for (const [i, count] of fragments.entries()) line.add(`s${i}@alpha.test`, count);
      const rounds = Math.min(...fragments);
      const sent = new Map(fragments.map((_, i) => [`s${i}@alpha.test`, 0]));
      for (const { sender } of line.waiting.slice(0, rounds * fragments.length)) {
        sent.set(sender, (sent.get(sender) ?? 0) + 1);
      }
      t.true(Math.max(...sent.values()) - Math.min(...sent.values()) <= 2);
    }),
  );
});

for (const [every, ticksMax, why] of [
  [2, 150, 'others send every second packet: it has the rest'],
  [1, 1_400, 'others send more than there is room for, each has his turn, and so has it'],
] as const) {
  test(`nobody starves behind those who keep coming: ${why}`, (t) => {
    const line = new Line();
    const large = line.add('ada@alpha.test', 50);
    let ticks = 0;
    for (; line.ticksUntilGone(large) > 0 && ticks < 10_000; ticks++) {
      if (ticks % every === 0) line.add(`s${ticks}@alpha.test`, 1);
      line.waiting.shift();
    }
    t.true(ticks <= ticksMax, `${ticks} ticks`);
  });
}

test('a mail that is queued again, as Redis went away, does not wait behind itself', (t) => {
  const places = new FairPlaces();
  const mail = { exit: EXIT, sender: 'ada@alpha.test', messageId: 'm', fragments: 3 };
  t.deepEqual(places.take(mail, null), [1, 2, 3]);
  t.deepEqual(places.take(mail, 1), [2, 3, 4]);
  t.deepEqual(places.take({ ...mail, exit: 'y' }, null), [1, 2, 3], 'each exit for itself');
});

test('what is through is forgotten, so that memory holds no more than the queue does', (t) => {
  const places = new FairPlaces();
  const mail = { exit: EXIT, sender: 'ada@alpha.test', messageId: 'm', fragments: 3 };
  places.take(mail, null);
  t.deepEqual(places.take({ ...mail, messageId: 'n' }, 3), [5, 6, 7], 'its last may wait still');
  t.deepEqual(places.take({ ...mail, messageId: 'o' }, 10), [11, 12, 13]);
});

test('a large mail waits for the others of its sender only as long as they are there', (t) => {
  const places = new FairPlaces();
  const mail = { exit: EXIT, sender: 'ada@alpha.test', fragments: 1 };
  for (const front of [null, 1, 1]) places.take({ ...mail, messageId: `m${mails++}` }, front);
  t.deepEqual(places.take({ ...mail, messageId: 'n', fragments: 4 }, 1), [5, 6, 7, 8]);
});

test('nobody uses up the places, and with them all fairness, by large mails after many small ones', (t) => {
  const line = new Line();
  for (let round = 0; round < 9; round++) {
    for (let i = 0; i < 299; i++) line.add('eve@alpha.test', 1);
    line.add('eve@alpha.test', 800);
    // He never lets it become empty, which would begin anew.
    line.waiting.splice(0, line.waiting.length - 1);
  }
  t.true((line.waiting[0]?.place ?? 0) <= 9 * (299 + 800 + 300), `${line.waiting[0]?.place}`);
  line.add('eve@alpha.test', 800);
  t.true(line.ticksUntilGone(line.add('ada@alpha.test', 1)) <= 4);
});

test('places end where BullMQ’s do: from there on it is the order of coming', (t) => {
  const places = new FairPlaces();
  const mail = { exit: EXIT, sender: 'ada@alpha.test', messageId: 'm', fragments: 3 };
  t.deepEqual(places.take(mail, PLACE_MAX - 2), [PLACE_MAX - 1, PLACE_MAX, PLACE_MAX]);
});
