import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { readStatus, type Status } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import { writeClockReport } from '../../src/redis/clock-report.ts';
import { writeLoopReport, type StoredLoops } from '../../src/redis/loop-report.ts';
import { writeMailCounts } from '../../src/redis/mail-report.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';
import { native } from '../../src/crypto/native.ts';
import { announceRunning } from '../../src/redis/program-report.ts';
import { temporaryDataDir, temporaryStore } from '../redis/private-redis.ts';

const [one, two] = ['1'.repeat(64), '2'.repeat(64)];
const LOOPS: StoredLoops = {
  verdict: { isAlarmed: false, returned: 19, due: 20 },
  report: {
    nodes: {
      [one]: { due: 20, returned: 19, roundTripMs: 7_234 },
      [two]: { due: 10, returned: 3, roundTripMs: null },
    },
    links: {
      [`${one}>${two}`]: { due: 10, returned: 3, roundTripMs: 900 },
      [`${two}>${one}`]: { due: 10, returned: 10, roundTripMs: 900 },
    },
  },
};

/** A program's configuration file beside a store that runs. */
async function create(t: ExecutionContext) {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const file = join(dataDir, 'node.yaml');
  writeFileSync(file, stringify({ name: 'mix-1', data_dir: dataDir }), { mode: 0o600 });
  return { store, file };
}

async function show(file: string, ...flags: string[]): Promise<{ code: number; text: string }> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  return await new Promise((resolve) => {
    const args = [main, 'status', '--config', file, ...flags];
    const env = { ...process.env, REDIS_URL: undefined, FORCE_COLOR: undefined };
    execFile(process.execPath, args, { env, timeout: 30_000 }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, text: stdout }),
    );
  });
}

test('status shows what comes back through each node, and the links that lose', async (t) => {
  const { store, file } = await create(t);
  t.is((await readStatus(readConfig(file))).loops, null);
  await writeLoopReport(store, LOOPS);
  const { code, text } = await show(file);
  t.is(code, 0, text);
  t.regex(text, /loops {6}19 of 20 came back\n/);
  t.regex(text, new RegExp(`through ${one.slice(0, 16)} {2}19 of 20, 7.2 s`));
  t.regex(text, new RegExp(`through ${two.slice(0, 16)} {2}3 of 10, -`));
  t.regex(text, new RegExp(`${one.slice(0, 16)} > ${two.slice(0, 16)} {2}3 of 10`));
  t.notRegex(text, new RegExp(`${two.slice(0, 16)} > ${one.slice(0, 16)}`));
});

test('status --json has every node and link', async (t) => {
  const { store, file } = await create(t);
  await writeLoopReport(store, LOOPS);
  const { loops } = JSON.parse((await show(file, '--json')).text) as Status;
  t.like(loops, { alarm: false, due: 20, returned: 19 });
  t.deepEqual(loops?.nodes[one], { due: 20, returned: 19, round_trip_ms: 7_200 });
  t.deepEqual(Object.keys(loops?.links ?? {}).length, 2);
});

test('a node that does not run is not well, however well what it has left looks', async (t) => {
  const { store, file } = await create(t);
  const yaml = { name: 'mix-1', data_dir: dirname(file), controller: {} };
  writeFileSync(file, stringify(yaml), { mode: 0o600 });
  await writeLoopReport(store, LOOPS);
  const starting = await show(file);
  t.is(starting.code, 1);
  t.regex(starting.text, /not well\nprogram {4}starting/);
  announceRunning(store);
  const running = await show(file);
  t.is(running.code, 0, running.text);
  t.regex(running.text, /: well\nprogram {4}running/);
  // What a killed program leaves: everything but its connections.
  await store.redis.client('SETNAME', 'somebody');
  const away = await show(file, '--json');
  t.is(away.code, 1);
  const status = JSON.parse(away.text) as Status;
  t.like(status, { program: 'away', storage: { state: 'up' }, loops: { alarm: false }, ok: false });
});

test('status shows what senders are owed, and what they were told', async (t) => {
  const { store, file } = await create(t);
  t.is((await readStatus(readConfig(file))).mail, null);
  const keys = { primitives: native, storageKey: native.random(32) };
  await new ReportStore(store, keys).keep('ab'.repeat(16), native.random(100));
  await new ReturnStore(store, keys).remember('cd'.repeat(16), native.random(3_000));
  await writeMailCounts(store, { 'bounce-repeated': 2, 'report-kept': 1 });
  const { mail } = await readStatus(readConfig(file));
  t.like(mail, { under_way: 0, reports_waiting: 1, counts: { 'report-kept': 1 } });
  t.true((mail?.return_bytes ?? 0) > 3_000);
  const { code, text } = await show(file);
  t.is(code, 0, 'nothing of it needs an operator');
  t.regex(
    text,
    /mail {7}0 under way, 1 reports wait, 0\.0 MB kept for bounces\n {2}bounce-repeated +2\n/,
  );
});

test('an alarm is not well, and status says what follows from it', async (t) => {
  const { store, file } = await create(t);
  await writeLoopReport(store, {
    ...LOOPS,
    verdict: { isAlarmed: true, returned: 0, due: 4 },
  });
  const { code, text } = await show(file);
  t.is(code, 1);
  t.regex(text, /not well/);
  t.regex(text, /0 of 4 came back: others are held longer/);
});

test('status says whose clock is wrong, how far, and that mail waits where it is the own one', async (t) => {
  const { store, file } = await create(t);
  t.is((await readStatus(readConfig(file))).clock, null);
  const other = { url: 'http://127.0.0.1:1/', aheadMs: -7_200_400, ageMs: 0 };
  await writeClockReport(store, {
    isOwnWrong: false,
    aheadMs: 812,
    heard: 4,
    differing: [other],
  });
  const right = await show(file);
  t.is(right.code, 0, right.text);
  t.regex(right.text, /clock {6}right, by 3 of 4 controllers\n {2}2 h 0 min behind that of http:/);

  await writeClockReport(store, {
    isOwnWrong: true,
    aheadMs: 7_200_400,
    heard: 4,
    differing: [{ ...other, aheadMs: 7_200_400 }],
  });
  const wrong = await show(file);
  t.is(wrong.code, 1);
  t.regex(wrong.text, /clock-wrong: 2 h 0 min ahead of those of 1 of 4 controllers; mail waits/);
  const { clock, ok } = JSON.parse((await show(file, '--json')).text) as Status;
  t.deepEqual(clock, {
    right: false,
    ahead_ms: 7_200_400,
    controllers: 4,
    differing: { 'http://127.0.0.1:1/': 7_200_400 },
  });
  t.false(ok);
});
