/**
 * `panoramix status`: how long each queue is and since when its oldest job is due, how full the storage
 * is, how long the directory holds, and what comes back of the node's own packets, by node and link.
 * It only looks: it never starts a store.
 */
import { Command } from 'commander';
import { differenceText, type ClockVerdict } from '../client/clocks.ts';
import { readConfig, type Config } from '../config.ts';
import { asPanoramixError } from '../errors.ts';
import { silentLog } from '../log.ts';
import { RETURNED_SHARE, type LoopCount } from '../mixnet/loops.ts';
import { connectStore } from '../redis/embedded.ts';
import { readClockReport } from '../redis/clock-report.ts';
import { readKeyReport, type StoredKey } from '../redis/key-report.ts';
import { readLoopReport, type StoredLoops } from '../redis/loop-report.ts';
import { readProgramState, type ProgramState } from '../redis/program-report.ts';
import { allQueueStats, type QueueStats } from '../redis/queue-stats.ts';
import { fullnessOf, pressureOf, readFullness, type Pressure } from '../redis/pressure.ts';
import { formatDuration, Terminal } from '../terminal.ts';
import { EXIT, runVerb } from './program.ts';
import {
  isDirectoryWell,
  printDirectory,
  readDirectoryStatus,
  type DirectoryStatus,
} from './status-directory.ts';

import { printMail, readMailStatus, type MailStatus } from './status-mail.ts';

export type { DirectoryStatus } from './status-directory.ts';

/** What `status --json` prints; times are Unix ms. */
export interface Status {
  readonly name: string;
  /** Whether it runs; null where the configuration is of no program, `unknown` while the storage is down. */
  readonly program: ProgramState | null;
  readonly storage:
    | { readonly state: 'up'; readonly pressure: Pressure; readonly full: number }
    | { readonly state: 'down'; readonly reason: string };
  readonly queues: Readonly<Record<string, QueueStats>>;
  readonly directory: DirectoryStatus | null;
  /** Whose clock is wrong; null where no node runs here, or it runs for less than 10 s. */
  readonly clock: ClockStatus | null;
  /** This node's mix keys; null where no node runs here. */
  readonly keys: readonly KeyStatus[] | null;
  /** Null where no node runs here, or it runs for less than 10 s. */
  readonly loops: LoopStatus | null;
  /** What senders are owed; null where no gateway has run here. */
  readonly mail: MailStatus | null;
  /** Whether nothing needs an operator. */
  readonly ok: boolean;
}

/** This machine's clock, by what controllers have said with their answers. */
export interface ClockStatus {
  /** False: most others differ from it by more than five minutes, and mail waits. */
  readonly right: boolean;
  /** Median of how far it is ahead of theirs; below 0 where it is behind. */
  readonly ahead_ms: number;
  /** Controllers that have answered. */
  readonly controllers: number;
  /** How far it is ahead of those that differ by more than five minutes, by their URL. */
  readonly differing: Readonly<Record<string, number>>;
}

/** One mix key of this node that is not destroyed yet. */
export interface KeyStatus {
  readonly endpoint: string;
  readonly state: 'ahead' | 'in-use' | 'closing';
  readonly opens: number;
  readonly closes: number;
  /** When its secrets are destroyed at the latest. */
  readonly ends: number;
  /** How full its journal is, 0 to 1. */
  readonly journal: number;
}

/** What came back of the last packets of its own that were due. */
export interface LoopStatus {
  /** Too few: packets of others are held longer. */
  readonly alarm: boolean;
  readonly due: number;
  readonly returned: number;
  /** Trips through each node, by peer id. */
  readonly nodes: Readonly<Record<string, TripStatus>>;
  /** The same by `PEER>PEER`, in the direction of the packets. */
  readonly links: Readonly<Record<string, TripStatus>>;
}

/** Trips through one node or link. */
export interface TripStatus {
  readonly due: number;
  readonly returned: number;
  /** Median of whole round trips; null where none came back. */
  readonly round_trip_ms: number | null;
}

/** The verb, for main.ts. */
export function statusCommand(): Command {
  return new Command('status')
    .description('shows queues, storage and directory of a program that runs')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .option('--json', 'one JSON object for machines')
    .action((flags: { config?: string; json?: true }) =>
      runVerb(async () => {
        const status = await readStatus(readConfig(flags.config));
        if (flags.json) process.stdout.write(`${JSON.stringify(status)}\n`);
        else print(status, new Terminal());
        return status.ok ? EXIT.done : EXIT.failed;
      }),
    );
}

/** The state of the program that a configuration file describes. */
export async function readStatus(config: Config, nowMs = Date.now()): Promise<Status> {
  const directory = readDirectoryStatus(config, nowMs);
  const about = { name: config.name, directory };
  try {
    const store = await connectStore({
      url: process.env['REDIS_URL'] ?? config.redis.url,
      dataDir: config.data_dir,
      log: silentLog,
      name: 'status',
    });
    try {
      const fullness = await readFullness(store.redis, config.data_dir);
      const pressure = pressureOf(fullness);
      const queues = Object.fromEntries(await allQueueStats(store, nowMs));
      const storage = { state: 'up', pressure, full: fullnessOf(fullness) } as const;
      const loops = loopStatus(await readLoopReport(store));
      const clock = clockStatus(await readClockReport(store));
      const keys = keyStatus(await readKeyReport(store));
      const mail = await readMailStatus(store);
      const program = isProgram(config) ? await readProgramState(store) : null;
      const failed = Object.values(queues).some((queue) => queue.failed > 0);
      const ok =
        (program === null || program === 'running') &&
        pressure === 'open' &&
        isDirectoryWell(directory) &&
        !failed &&
        loops?.alarm !== true &&
        clock?.right !== false;
      return { ...about, program, storage, queues, clock, keys, loops, mail, ok };
    } finally {
      await store.close();
    }
  } catch (thrown) {
    const { code } = asPanoramixError(thrown);
    const storage = { state: 'down', reason: code } as const;
    const program = isProgram(config) ? 'unknown' : null;
    const none = { queues: {}, clock: null, keys: null, loops: null, mail: null };
    return { ...about, program, storage, ...none, ok: false };
  }
}

function isProgram(config: Config): boolean {
  return config.node !== undefined || config.controller !== undefined;
}

function keyStatus(keys: readonly StoredKey[] | null): KeyStatus[] | null {
  if (keys === null) return null;
  return keys.map((key) => ({
    endpoint: key.endpointId,
    state: key.state,
    opens: key.opensMs,
    closes: key.closesMs,
    ends: key.endsMs,
    journal: key.tagsMax === 0 ? 0 : key.tags / key.tagsMax,
  }));
}

function clockStatus(verdict: ClockVerdict | null): ClockStatus | null {
  if (verdict === null || verdict.heard === 0) return null;
  const { isOwnWrong, aheadMs, heard, differing } = verdict;
  return {
    right: !isOwnWrong,
    ahead_ms: Math.round(aheadMs),
    controllers: heard,
    differing: Object.fromEntries(differing.map((one) => [one.url, Math.round(one.aheadMs)])),
  };
}

function loopStatus(stored: StoredLoops | null): LoopStatus | null {
  if (stored === null) return null;
  const { verdict, report } = stored;
  const { isAlarmed: alarm, due, returned } = verdict;
  return { alarm, due, returned, nodes: trips(report.nodes), links: trips(report.links) };
}

function trips(all: Readonly<Record<string, LoopCount>>): Record<string, TripStatus> {
  return Object.fromEntries(
    Object.entries(all).map(([name, { due, returned, roundTripMs }]) => {
      return [name, { due, returned, round_trip_ms: roundTripMs }];
    }),
  );
}

function print(status: Status, terminal: Terminal): void {
  const { storage, directory } = status;
  const mark = status.ok ? terminal.paint('green', 'well') : terminal.paint('red', 'not well');
  terminal.line(`${status.name}: ${mark}`);
  if (status.program !== null && storage.state === 'up') printProgram(status.program, terminal);
  terminal.line(
    storage.state === 'up'
      ? `storage    ${storage.pressure}, ${(100 * storage.full).toFixed(0)} % of what it may use`
      : `storage    down: ${storage.reason}`,
  );
  if (directory) printDirectory(directory, terminal, Date.now());
  if (status.keys) printKeys(status.keys, terminal);
  if (status.clock) printClock(status.clock, terminal);
  if (status.loops) printLoops(status.loops, terminal);
  if (status.mail) printMail(status.mail, terminal);
  const rows = Object.entries(status.queues);
  if (rows.length === 0) return;
  const width = Math.max(...rows.map(([name]) => name.length), 'queue'.length);
  terminal.line(`\n${'queue'.padEnd(width)}  waiting  active  delayed  failed  oldest due`);
  for (const [name, queue] of rows) {
    const counts = [queue.waiting, queue.active, queue.delayed, queue.failed];
    const widths = [7, 6, 7, 6];
    const cells = counts.map((count, i) => String(count).padStart(widths[i] as number));
    const oldest = queue.oldestAgeMs === null ? '-' : formatDuration(queue.oldestAgeMs);
    terminal.line(`${name.padEnd(width)}  ${cells.join('  ')}  ${oldest}`);
  }
}

const PROGRAM_WORDS: Readonly<Record<ProgramState, string>> = {
  running: 'running',
  starting: 'starting: its log says what it waits for',
  away: 'away: it does not run, what it has taken waits in its storage',
  unknown: 'unknown: allow this user of Redis CLIENT LIST (ACL: +client|list)',
};

function printProgram(program: ProgramState, terminal: Terminal): void {
  const text = `program    ${PROGRAM_WORDS[program]}`;
  terminal.line(program === 'running' ? text : terminal.paint('red', text));
}

function printKeys(keys: readonly KeyStatus[], terminal: Terminal): void {
  for (const key of keys) {
    const until = new Date(key.state === 'closing' ? key.ends : key.closes).toISOString();
    const full = `journal ${(100 * key.journal).toFixed(0)} % full`;
    terminal.line(`key        ${key.endpoint} ${key.state}, until ${until}, ${full}`);
  }
}

function printClock(clock: ClockStatus, terminal: Terminal): void {
  const { right, ahead_ms: aheadMs, controllers, differing } = clock;
  const others = Object.entries(differing);
  if (!right) {
    const whom = `those of ${others.length} of ${controllers} controllers`;
    const text = `clock      clock-wrong: ${differenceText(aheadMs)} ${whom}; mail waits until it is put right`;
    terminal.line(terminal.paint('red', text));
    return;
  }
  terminal.line(
    `clock      right, by ${controllers - others.length} of ${controllers} controllers`,
  );
  for (const [url, ms] of others) {
    terminal.line(terminal.paint('yellow', `  ${differenceText(ms)} that of ${url}`));
  }
}

/** Every node, and of the many links those that lose more than an honest mixnet does. */
function printLoops({ alarm, due, returned, nodes, links }: LoopStatus, terminal: Terminal): void {
  const text = `loops      ${returned} of ${due} came back`;
  terminal.line(alarm ? terminal.paint('red', `${text}: others are held longer`) : text);
  const bad = Object.entries(links).filter(([, count]) => isLossy(count));
  for (const [name, count] of [...Object.entries(nodes), ...bad]) {
    const short = name.split('>').map((peer) => peer.slice(0, 16));
    const trip = count.round_trip_ms === null ? '-' : formatDuration(count.round_trip_ms);
    const line = `  through ${short.join(' > ')}  ${count.returned} of ${count.due}, ${trip}`;
    terminal.line(isLossy(count) ? terminal.paint('yellow', line) : line);
  }
}

function isLossy({ due, returned }: TripStatus): boolean {
  return returned < RETURNED_SHARE * due;
}
