/**
 * Log lines of the programs: one JSON object a line on stdout, for journald and for people with jq.
 * No line holds a key, a route, an address or a payload (style rule 24).
 */
import { pino } from 'pino';

/**
 * Lines that wait while nobody takes them, as on a full disk; what comes beyond is dropped. A log that cannot
 * be written must not end the program, nor fill its memory.
 */
const WAITING_BYTES_MAX = 1_048_576;

/** What programs log with: fields first, then one sentence. Pino's logger is one. */
export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/**
 * The log of one program.
 * @param program its name, in every line
 * @param level lowest level written; `silent` writes nothing
 */
export function createLog(program: string, level = process.env['PANORAMIX_LOG'] ?? 'info'): Log {
  const output = pino.destination({ fd: 1, sync: true, maxLength: WAITING_BYTES_MAX });
  output.on('error', () => undefined);
  const options = {
    level,
    base: { program },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, output);
}

/** Discards everything: for tests that do not look at the log. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
