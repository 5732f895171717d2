/**
 * The life of a long-running program: start, run until SIGTERM or SIGINT, stop cleanly within 20 s.
 * A crash is a normal way to end too: everything acknowledged is on disk, so exit code 1 is enough.
 */
import { PanoramixError, asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { guardProcess } from './process-guard.ts';

const STOP_MS_MAX = 20_000;

/** Exit codes of all verbs; a configuration error is not worth a restart. */
export const EXIT = { done: 0, failed: 1, misconfigured: 2 } as const;

/** Exit code of a dialogue that somebody left: what a shell gives a program that Ctrl-C ended. */
export const LEFT = 130;

/** What a role gives back once it runs. */
export interface Running {
  /** Finishes what is under way and releases everything. */
  stop(): Promise<void>;
}

/**
 * Runs a role until a signal ends it; never returns.
 * @param log of the program
 * @param start brings the role up; what it throws ends the program with its reason
 */
export async function runProgram(log: Log, start: () => Promise<Running>): Promise<void> {
  guardProcess(log);
  // Nobody else reads what it writes, whatever writes it, nor connects to its sockets.
  process.umask(0o077);
  const die = (thrown: unknown): void => {
    const error = asPanoramixError(thrown);
    log.error({ reason: error.code, stack: error.stack }, 'ended by an error that nobody handled');
    process.exit(EXIT.failed);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);

  const signalled = new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  let running: Running;
  try {
    // A start may wait for others as long as it takes, such as for the node's controller.
    const first = await Promise.race([start(), signalled]);
    if (typeof first === 'string') {
      log.info({ signal: first }, 'stopped before it ran');
      process.exit(EXIT.done);
    }
    running = first;
  } catch (thrown) {
    const error = asPanoramixError(thrown);
    log.error({ reason: error.code }, error.message);
    process.exit(error.code === 'config-invalid' ? EXIT.misconfigured : EXIT.failed);
  }
  const signal = await signalled;
  log.info({ signal }, 'stopping');
  const late = setTimeout(() => {
    log.warn(
      { after_ms: STOP_MS_MAX },
      'not stopped in time; what is left resumes at the next start',
    );
    process.exit(EXIT.done);
  }, STOP_MS_MAX);
  try {
    await running.stop();
  } catch (thrown) {
    log.warn({ reason: asPanoramixError(thrown).code }, 'stopping was not clean');
  }
  clearTimeout(late);
  log.info({}, 'stopped');
  process.exit(EXIT.done);
}

/** Runs a verb that ends by itself; what it throws is said in one line on stderr. */
export async function runVerb(act: () => Promise<number>): Promise<void> {
  guardProcess();
  // Whoever reads us has had enough, such as `head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  try {
    process.exitCode = await act();
  } catch (thrown) {
    const error = asPanoramixError(thrown);
    process.stderr.write(`panoramix: ${error.message}\n`);
    if (!(thrown instanceof PanoramixError)) process.stderr.write(`${error.stack}\n`);
    process.exitCode = error.code === 'config-invalid' ? EXIT.misconfigured : EXIT.failed;
  }
}
