/**
 * Log lines of the programs: one JSON object a line on stdout, for journald and for people with jq.
 * No line holds a key, a route, an address or a payload (style rule 24).
 */
import { pino } from 'pino';

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
  return pino({
    level,
    base: { program },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}

/** Discards everything: for tests that do not look at the log. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
