import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Clocks, type ClockVerdict } from '../../src/client/clocks.ts';
import type { Log } from '../../src/log.ts';
import { ClockWatch, whileClockIsRight } from '../../src/mixer/clock-watch.ts';
import type { DirectoryStore } from '../../src/mixer/directory-store.ts';
import { TrustedClock } from '../../src/mixer/trusted-clock.ts';

const HOUR_MS = 3_600_000;
const OWN = 'http://own/';

/** A machine and controllers, each with a clock that a test sets; `null`: it does not answer. */
class Machine {
  /** Ahead of true time. */
  ownMs = 0;
  readonly others = new Map<string, number | null>();
  readonly lines: { level: string; event?: string; text: string }[] = [];
  readonly reports: ClockVerdict[] = [];
  asked = 0;
  /** How often the node was told that its clock was set to what is right. */
  set = 0;
  readonly clocks = new Clocks({ now: () => this.#trueMs() + this.ownMs });
  readonly time: TrustedClock;
  readonly watch: ClockWatch;

  /** @param ownMs how far ahead the clock is with which it starts */
  constructor(
    others: Readonly<Record<string, number | null>>,
    options: { readonly ownMs?: number; readonly doubtMs?: number } = {},
  ) {
    this.ownMs = options.ownMs ?? 0;
    this.time = new TrustedClock({ now: () => this.#trueMs() + this.ownMs });
    for (const [url, aheadMs] of Object.entries(others)) this.others.set(url, aheadMs);
    const say =
      (level: string): Log['info'] =>
      (fields: { event?: string }, text) =>
        void this.lines.push({ level, text, ...(fields.event && { event: fields.event }) });
    this.watch = new ClockWatch({
      clocks: this.clocks,
      ownUrl: OWN,
      controllers: () => [...this.others.keys()],
      ask: async (url) => await this.hear(url),
      log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      write: async (verdict) => void this.reports.push(verdict),
      time: this.time,
      onSet: () => void this.set++,
      askMs: 0,
      ...(options.doubtMs !== undefined && { doubtMs: options.doubtMs }),
    });
  }

  /** An answer of a controller, to whatever. */
  async hear(url: string): Promise<void> {
    this.asked++;
    const aheadMs = this.others.get(url) ?? null;
    if (aheadMs === null) throw new Error('no answer');
    this.clocks.heard(url, this.#trueMs() + aheadMs - 500);
  }

  /** How far the time that the node goes by is ahead of true time, to the second. */
  trustedMs(): number {
    return Math.round((this.time.now() - this.#trueMs()) / 1000) * 1000 + 0;
  }

  events(): string[] {
    return this.lines.splice(0).map(({ event }) => event ?? '');
  }

  #trueMs(): number {
    return 1_800_000_000_000 + performance.now();
  }
}

test('while clocks agree nobody is asked, and nothing is said', async (t) => {
  const machine = new Machine({ 'http://a/': 0, 'http://b/': 300_000, [OWN]: 0 });
  t.false(machine.time.isKnown());
  for (const url of machine.others.keys()) await machine.hear(url);
  machine.asked = 0;
  await machine.watch.look();
  t.false(machine.watch.isWrong());
  t.is(machine.asked, 0);
  t.deepEqual(machine.lines, []);
  t.true(machine.time.isKnown());
  t.is(machine.set, 0);
});

test('a clock that is wrong is found wrong by one answer, said once, and right again when it is set', async (t) => {
  const machine = new Machine({
    'http://a/': 0,
    'http://b/': 0,
    'http://c/': null,
    [OWN]: 3 * HOUR_MS,
  });
  machine.ownMs = 3 * HOUR_MS;
  t.true(machine.watch.isWrong(), 'at once: it was set, and nobody has said that it is right');
  await machine.hear('http://a/');
  await machine.watch.look();
  await machine.watch.look();
  t.true(machine.watch.isWrong());
  t.is(machine.trustedMs(), 0);
  const [set, line, ...more] = machine.lines.splice(0);
  t.is(set?.event, 'clock-set');
  t.deepEqual(more, []);
  t.is(line?.level, 'error');
  t.is(line?.event, 'clock-wrong');
  t.regex(line?.text ?? '', /3 h 0 min ahead of those of 2 of 3 controllers: mail waits/);
  t.like(machine.reports.at(-1), { isOwnWrong: true, heard: 3 });

  machine.ownMs = -HOUR_MS;
  await machine.watch.look();
  t.regex(machine.lines.splice(0)[0]?.text ?? '', /1 h 0 min behind those of 3 of 3/);

  machine.ownMs = 0;
  machine.asked = 0;
  t.is(machine.set, 0);
  await machine.watch.look();
  t.true(machine.asked > 0, 'the own controller is still wrong');
  t.false(machine.watch.isWrong());
  t.is(machine.set, 1);
  t.deepEqual(machine.events(), ['clock-right', 'clock-differs']);
  machine.others.set(OWN, 0);
  await machine.watch.look();
  await machine.watch.look();
  t.deepEqual(machine.events(), ['clock-agrees']);
});

test('a controller whose clock is wrong is named, and the node goes on', async (t) => {
  const machine = new Machine({ 'http://a/': -HOUR_MS, 'http://b/': 0, 'http://c/': 0 });
  await machine.hear('http://a/');
  await machine.watch.look();
  t.false(machine.watch.isWrong());
  const [line] = machine.lines;
  t.is(line?.level, 'warn');
  t.regex(line?.text ?? '', /1 h 0 min ahead of that of a controller/);
});

test('a clock that is set for a moment has no effect, whoever answers', async (t) => {
  const machine = new Machine({ 'http://a/': 0, 'http://b/': null });
  await machine.watch.look();
  for (const ownMs of [72 * HOUR_MS, -72 * HOUR_MS]) {
    machine.ownMs = ownMs;
    t.true(machine.watch.isWrong());
    t.is(machine.trustedMs(), 0);
    machine.ownMs = 0;
    t.false(machine.watch.isWrong());
  }
});

test('a machine that starts with a wrong clock goes by the time of the others', async (t) => {
  for (const ownMs of [72 * HOUR_MS, -1_000 * HOUR_MS]) {
    const others = { 'http://a/': 0, 'http://b/': 0, [OWN]: ownMs };
    const machine = new Machine(others, { ownMs });
    t.false(machine.time.isKnown());
    await machine.watch.look();
    t.true(machine.time.isKnown());
    t.true(machine.watch.isWrong());
    t.is(machine.trustedMs(), 0);
    machine.ownMs = 0;
    await machine.watch.look();
    t.false(machine.watch.isWrong());
    t.is(machine.set, 1);
  }
});

test('the own controller alone, which is of the same machine, proves no time while others are away', async (t) => {
  const others = { 'http://a/': null, [OWN]: 72 * HOUR_MS };
  const machine = new Machine(others, { ownMs: 72 * HOUR_MS });
  await machine.watch.look();
  t.false(machine.time.isKnown());
  machine.others.set('http://a/', 0);
  await machine.watch.look();
  t.is(machine.trustedMs(), 0);

  const alone = new Machine({ [OWN]: 0 });
  await alone.watch.look();
  t.true(alone.time.isKnown());
});

test('where nobody answers for long enough the clock is believed: nobody keeps keys from ending', async (t) => {
  const others = { 'http://a/': null, [OWN]: 0 };
  const machine = new Machine(others, { doubtMs: 1_500 });
  await machine.watch.look();
  t.false(machine.time.isKnown());
  machine.ownMs = 9 * HOUR_MS;
  machine.others.set(OWN, 9 * HOUR_MS);
  await machine.watch.look();
  t.is(machine.trustedMs(), 0);
  t.true(machine.reports.at(-1)?.isOwnWrong, 'status says that mail waits');
  await sleep(1_600);
  await machine.watch.look();
  t.true(machine.time.isKnown());
  t.is(machine.trustedMs(), 9 * HOUR_MS);
  t.is(machine.set, 1);
});

test('a computer that slept asks before it believes answers of yesterday', async (t) => {
  const machine = new Machine({ 'http://a/': 0, 'http://b/': 0 });
  // The clock that only runs on did not run while it slept.
  machine.clocks.heard('http://a/', 1_800_000_000_000 + performance.now() - 5 * HOUR_MS);
  await machine.watch.look();
  t.true(machine.asked >= 2);
  t.false(machine.watch.isWrong());
  t.deepEqual(machine.events(), []);
});

test('where nobody answers whatever was held stands', async (t) => {
  const machine = new Machine({ 'http://a/': 0, 'http://b/': 0 }, { ownMs: -HOUR_MS });
  await machine.hear('http://a/');
  for (const url of machine.others.keys()) machine.others.set(url, null);
  await machine.watch.look();
  t.false(machine.watch.isWrong());
  for (const url of machine.others.keys()) machine.others.set(url, 0);
  await machine.watch.look();
  t.true(machine.watch.isWrong());
});

test('of a large mixnet few are asked at a time, and others each time', async (t) => {
  const urls = Array.from({ length: 40 }, (_, i) => [`http://${i}/`, 0] as const);
  const machine = new Machine(Object.fromEntries(urls));
  machine.ownMs = HOUR_MS;
  await machine.hear('http://0/');
  machine.asked = 0;
  await machine.watch.look();
  t.is(machine.asked, 16);
  t.true(machine.watch.isWrong());
  const before = new Set(machine.clocks.differences().map(({ url }) => url));
  await machine.watch.look();
  t.true(machine.clocks.differences().some(({ url }) => !before.has(url)));
});

test('while the clock is wrong no directory holds, whatever it says itself; the last one stays', (t) => {
  let isWrong = false;
  const store = {
    current: () => ({ ok: false, reason: 'directory-expired' }),
    last: () => null,
    remembers: (domain: string) => domain === 'alpha.example',
  } as unknown as DirectoryStore;
  const timely = whileClockIsRight(store, { isWrong: () => isWrong });
  t.deepEqual(timely.current(), { ok: false, reason: 'directory-expired' });
  isWrong = true;
  t.deepEqual(timely.current(), { ok: false, reason: 'clock-wrong' });
  t.true(timely.remembers('alpha.example'));
});
