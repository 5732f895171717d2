/**
 * `panoramix wizard`: creates or joins a mixnet, in a dialogue (D4.2 §5) or, with --yes, by the configuration
 * alone; then it runs the node. Killed at any step and started again it goes on where it was.
 */
import { Command } from 'commander';
import { ControllerClient } from '../client/controller.ts';
import { readConfig, section, type Config } from '../config.ts';
import { native } from '../crypto/native.ts';
import { asPanoramixError } from '../errors.ts';
import { readOrCreateIdentity } from '../key-files.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { Terminal } from '../terminal.ts';
import { trustAuthorities } from '../tls-files.ts';
import { batchOf, type BatchMixnetFound } from '../wizard/batch.ts';
import type { Answers } from '../wizard/dialogue/answers.ts';
import { DialogueDecisions } from '../wizard/dialogue/dialogue-decisions.ts';
import {
  addFlags,
  openAnswers,
  saidByFlags,
  type DialogueFlags,
} from '../wizard/dialogue/flags.ts';
import { askEndpoint, interview } from '../wizard/dialogue/interview.ts';
import { Narrator } from '../wizard/dialogue/narrator.ts';
import type { Question } from '../wizard/dialogue/question.ts';
import { QUESTIONS } from '../wizard/dialogue/questions.ts';
import { describe } from '../wizard/dialogue/sayings.ts';
import { TerminalTalk } from '../wizard/dialogue/ask-terminal.ts';
import { nobody, type Talk } from '../wizard/dialogue/talk.ts';
import type { Mixnet, WizardEvent } from '../wizard/options.ts';
import { mixnetOf } from '../wizard/settle.ts';
import { takePart } from '../wizard/take-part.ts';
import { commandOf, offerToRun, type Operated } from './operate.ts';
import { EXIT, LEFT, runVerb } from './program.ts';
import { addChangeCommands } from './wizard-change.ts';
import { offerChanges } from './wizard-menu.ts';
import { forgiveCommand } from './wizard-forgive.ts';

const ALL: readonly Question[] = Object.values(QUESTIONS);

interface WizardFlags extends DialogueFlags {
  readonly json?: true;
  readonly showSecret?: true;
}

/** The verb, for main.ts. */
export function wizardCommand(): Command {
  const command = new Command('wizard')
    .description('creates or joins a mixnet, and runs the node; asks what nobody has told it')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG, else it asks)')
    .option('--answers <file>', 'YAML file of answers, by the names of the questions')
    .option('--yes', 'ask nothing: accept what is proposed, within what the configuration says')
    .option('--show-secret', 'show the secret of a key that is created')
    .option('--json', 'with --yes: one JSON object for each step');
  command.addCommand(forgiveCommand());
  addChangeCommands(command);
  return addFlags(command, ALL).action((flags: WizardFlags) => runVerb(() => runWizard(flags)));
}

async function runWizard(flags: WizardFlags): Promise<number> {
  return flags.yes ? await runUnasked(flags) : await runDialogue(flags);
}

/** For machines. What flags and answers say goes into the configuration first. */
async function runUnasked(flags: WizardFlags): Promise<number> {
  const terminal = new Terminal();
  const say = (event: object, text: string): void => {
    if (flags.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    else terminal.line(text);
  };
  const environment = { JOIN_INVITATION: process.env['PANORAMIX_INVITATION'] };
  const said = saidByFlags(ALL, flags, {});
  let invitation = said.get('JOIN_INVITATION') ?? environment.JOIN_INVITATION ?? null;
  said.delete('JOIN_INVITATION');
  if (flags.answers !== undefined || said.size > 0) {
    const talk = nobody((text) => say({ event: 'said', text }, text));
    const answers = await openAnswers(talk, ALL, flags, '', environment);
    ({ invitation } = await interview(answers, native, { isShown: flags.showSecret === true }));
    if (
      answers.given(QUESTIONS.role) === 'create' &&
      answers.given(QUESTIONS.purpose) === 'batch'
    ) {
      await askEndpoint(answers);
    }
  }
  const mixnet = await takePart(readConfig(flags.config), {
    primitives: native,
    invitation,
    progress: (event: WizardEvent) => say(event, describe(event)),
  });
  say({ event: 'done', ...mixnet }, `The mix-net URL for users: ${mixnet.mixnetUrl}`);
  return EXIT.done;
}

/** For people. */
async function runDialogue(flags: WizardFlags): Promise<number> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const talk: Talk = isTerminal
    ? new TerminalTalk()
    : nobody((line) => process.stdout.write(`${line}\n`));
  const stopping = new AbortController();
  const leave = (): void => stopping.abort();
  process.once('SIGINT', leave);
  let path = '';
  try {
    talk.intro('Welcome to PANORAMIX wizard!');
    const environment = { JOIN_INVITATION: process.env['PANORAMIX_INVITATION'] };
    const answers = await openAnswers(talk, ALL, flags, './panoramix.yaml', environment);
    path = answers.config.path;
    const before = finishedIn(answers);
    const mixnet = before ?? (await meet(answers, flags, stopping.signal));
    talk.end();
    talk.done('The mix-net URL for users:');
    talk.lines([`  ${mixnet.mixnetUrl}`]);
    process.off('SIGINT', leave);
    if (before) await offerChanges(talk, readConfig(path), path);
    return await offerToRun(talk, operatedBy(readConfig(path), path));
  } catch (thrown) {
    talk.end();
    if (!stopping.signal.aborted && asPanoramixError(thrown).code !== 'wizard-left') throw thrown;
    talk.lines([
      '',
      `Left. To go on from here: ${commandOf({ verb: 'wizard', configPath: path })}`,
    ]);
    // All is on disk; a request that is under way would hold us up as long as its controller likes.
    return process.exit(LEFT);
  } finally {
    process.off('SIGINT', leave);
  }
}

/** What an earlier run has set up. */
function finishedIn({ config }: Answers): Mixnet | BatchMixnetFound | null {
  if (config.get(['mixnet']) === undefined || config.get(['node']) === undefined) return null;
  let parsed: Config;
  try {
    parsed = readConfig(config.path);
  } catch {
    // Not all is answered yet: the interview goes on, and what is wrong is said at its end.
    return null;
  }
  const state = new MixnetStateFile(section(parsed, 'node').mixnet_file).read();
  return batchOf(state) ?? mixnetOf(state);
}

async function meet(
  answers: Answers,
  flags: WizardFlags,
  signal: AbortSignal,
): Promise<Mixnet | BatchMixnetFound> {
  const { talk, config } = answers;
  const told = await interview(answers, native, { isShown: flags.showSecret === true });
  const asksEndpoint = told.role === 'create' && told.purpose === 'batch';
  const narrator = new Narrator(talk);
  return await takePart(readConfig(config.path), {
    primitives: native,
    invitation: told.invitation,
    decisions: new DialogueDecisions(talk),
    progress: (event) => narrator.tell(event),
    signal,
    ...(asksEndpoint && {
      askEndpoint: async () => {
        talk.end();
        await askEndpoint(answers);
        return readConfig(config.path);
      },
    }),
  });
}

/** The node that a finished configuration describes. */
function operatedBy(config: Config, configPath: string): Operated {
  const { roles, catalog_url: url } = section(config, 'mixnet');
  const state = new MixnetStateFile(section(config, 'node').mixnet_file);
  const gatewayId = state.read()?.batch?.endpoint_id;
  if (roles?.includes('gateway')) return { verb: 'gateway', configPath };
  if (gatewayId === undefined) return { verb: 'mix', configPath };
  trustAuthorities(config.tls_ca);
  const identity = readOrCreateIdentity(config.data_dir, native);
  const client = new ControllerClient({ url, identity, primitives: native });
  const countMessages = async (): Promise<number> => {
    // The gateway changes with the years: its id is read again.
    const endpointId = state.read()?.batch?.endpoint_id ?? gatewayId;
    return (await client.listMessages({ endpointId, box: 'INBOX' })).length;
  };
  return { verb: 'mix', configPath, countMessages };
}
