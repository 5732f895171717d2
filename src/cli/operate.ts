/**
 * What comes after a wizard: the program that it has set up, run in the same terminal as a child process with its
 * log in words, or how to start it otherwise.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { LogView } from '../wizard/dialogue/log-view.ts';
import type { Talk } from '../wizard/dialogue/talk.ts';

const MAIN = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url),
);
const LOOK_MS = 1_000;

/** A verb with the configuration file that it goes by. */
interface Verb {
  readonly verb: string;
  readonly configPath: string;
}

/** A program that a wizard has set up. */
export interface Operated extends Verb {
  readonly verb: 'controller' | 'mix' | 'gateway';
  /** Messages in the INBOX of the cycle that is open; absent where there are no cycles. */
  readonly countMessages?: () => Promise<number>;
}

/** The command that starts a program, as D4.2 §5.1 writes it. */
export function commandOf({ verb, configPath }: Verb): string {
  return `PANORAMIX_CONFIG=${quoted(configPath)} panoramix ${verb}`;
}

/** Says how to start a program here and as a service. */
export function sayHowToStart(talk: Talk, operated: Operated): void {
  const { verb, configPath } = operated;
  talk.lines([
    'Start it with',
    `  ${commandOf(operated)}`,
    'or, so that it comes back by itself, with systemd:',
    `  systemd-run --unit=panoramix-${verb} --property=Restart=always --setenv=PANORAMIX_CONFIG=${quoted(configPath)} panoramix ${verb}`,
  ]);
}

/**
 * Asks whether to run the program now, and runs it until it ends or Ctrl-C stops it.
 * @returns its exit code; 0 where it is to be started otherwise
 */
export async function offerToRun(talk: Talk, operated: Operated): Promise<number> {
  sayHowToStart(talk, operated);
  if (!talk.answers) return 0;
  const answer = await talk.choose({
    message: `Start the ${operated.verb} now, in this terminal?`,
    choices: [
      { value: 'yes', hint: 'Ctrl-C stops it' },
      { value: 'no', hint: 'start it yourself, as said above' },
    ],
    proposal: 'yes',
  });
  return answer === 'yes' ? await runHere(talk, operated) : 0;
}

/** Runs the program and says what happens. */
async function runHere(talk: Talk, operated: Operated): Promise<number> {
  const view = new LogView();
  const child = spawn(process.execPath, [MAIN, operated.verb, '--config', operated.configPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const unhook = passSignals(child);
  let messages: number | null = null;
  const look = setInterval(() => {
    if (view.sizeMin !== null && operated.countMessages) {
      void operated.countMessages().then(
        (count) => (messages = count),
        () => undefined,
      );
    }
    const line = progressOf(view, operated, messages);
    if (line) talk.wait(line);
  }, LOOK_MS);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = view.read(line);
    if (said === null) return;
    if (said.startsWith('! ')) talk.warn(said.slice(2));
    else talk.say(said);
  });
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (status) => resolve(status ?? 1));
  });
  clearInterval(look);
  unhook();
  talk.end();
  return code;
}

/** What is waited for; empty before there is anything to tell. */
function progressOf(view: LogView, { verb }: Operated, messages: number | null): string {
  if (verb === 'controller') return 'The controller runs; Ctrl-C stops it';
  if (view.sizeMin !== null) {
    const far = messages === null ? '' : `: ${messages} message${messages === 1 ? '' : 's'} so far`;
    return `waits for the minimum ${view.sizeMin}${far}`;
  }
  if (view.directoryNumber === null) return '';
  const { taken, delivered } = view.mails;
  const mails = verb === 'gateway' ? `, ${taken} mails sent, ${delivered} delivered` : '';
  return `routing by directory number ${view.directoryNumber}${mails}`;
}

/**
 * A terminal's Ctrl-C reaches the child by itself, as it is of our process group; we wait for its end. A
 * SIGTERM for us alone is passed on.
 */
function passSignals(child: ChildProcess): () => void {
  const pass = (): void => void child.kill('SIGTERM');
  process.on('SIGINT', stay).on('SIGTERM', pass);
  return () => {
    process.off('SIGINT', stay).off('SIGTERM', pass);
  };
}

/** A listener is what keeps a signal from ending us. */
function stay(): void {}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
