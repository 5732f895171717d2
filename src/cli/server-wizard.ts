/**
 * `panoramix server-wizard`: configures a controller in a dialogue (D4.2 §5.1), checks what it was told,
 * and says how to start it, or starts it.
 */
import { Command } from 'commander';
import { readConfig, section } from '../config.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { trustAuthorities } from '../tls-files.ts';
import type { Answers } from '../wizard/dialogue/answers.ts';
import { TerminalTalk } from '../wizard/dialogue/ask-terminal.ts';
import { addFlags, openAnswers, type DialogueFlags } from '../wizard/dialogue/flags.ts';
import type { Question } from '../wizard/dialogue/question.ts';
import {
  checkServer,
  interviewServer,
  isServerComplete,
} from '../wizard/dialogue/server-interview.ts';
import { SERVER_QUESTIONS } from '../wizard/dialogue/server-questions.ts';
import { nobody, type Talk } from '../wizard/dialogue/talk.ts';
import { commandOf, offerToRun, sayHowToStart } from './operate.ts';
import { EXIT, LEFT, runVerb } from './program.ts';

const ALL: readonly Question[] = Object.values(SERVER_QUESTIONS);

/** The verb, for main.ts. */
export function serverWizardCommand(): Command {
  const command = new Command('server-wizard')
    .description('configures a controller; asks what nobody has told it')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG, else it asks)')
    .option('--answers <file>', 'YAML file of answers, by the names of the questions')
    .option('--yes', 'ask nothing: take every default');
  return addFlags(command, ALL).action((flags: DialogueFlags) =>
    runVerb(() => runServerWizard(flags)),
  );
}

async function runServerWizard(flags: DialogueFlags): Promise<number> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY && !flags.yes;
  const talk: Talk = isTerminal
    ? new TerminalTalk()
    : nobody((line) => process.stdout.write(`${line}\n`));
  let path = '';
  try {
    talk.intro('Welcome to PANORAMIX server wizard!');
    const answers = await openAnswers(talk, ALL, flags, './panserver.yaml');
    path = answers.config.path;
    await reviewIfComplete(answers);
    await setUp(answers);
    const operated = { verb: 'controller', configPath: path } as const;
    if (talk.answers) return await offerToRun(talk, operated);
    sayHowToStart(talk, operated);
    return EXIT.done;
  } catch (thrown) {
    talk.end();
    if (asPanoramixError(thrown).code !== 'wizard-left') throw thrown;
    const goOn = commandOf({ verb: 'server-wizard', configPath: path });
    talk.lines(['', `Left. To go on from here: ${goOn}`]);
    return LEFT;
  }
}

/** Asks and checks; what is wrong may be put right elsewhere or answered anew, where somebody is there. */
async function setUp(answers: Answers): Promise<void> {
  const { talk, config: file } = answers;
  for (let asks = true; ;) {
    if (asks) await interviewServer(answers);
    const config = readConfig(file.path);
    trustAuthorities(config.tls_ca);
    section(config, 'controller');
    const problems = await checkServer(answers);
    if (problems.length === 0) return;
    if (!talk.answers) throw new PanoramixError('config-invalid', problems.join('; '));
    for (const problem of problems) talk.warn(problem);
    const next = await talk.choose({
      message: 'What now?',
      choices: [
        { value: 'again', hint: 'check it again, when you have put that right' },
        { value: 'change', hint: 'ask again, its answers as defaults' },
      ],
    });
    asks = next === 'change';
    if (asks) answers.review();
  }
}

/** A file that says everything is left as it is, unless somebody wants it otherwise. */
async function reviewIfComplete(answers: Answers): Promise<void> {
  const { talk, config } = answers;
  if (!talk.answers || !isServerComplete(answers)) return;
  const what = await talk.choose({
    message: `${config.path} is complete. 'keep' or 'change' it? (default: 'keep')`,
    choices: [
      { value: 'keep', hint: 'check it, and start the controller' },
      { value: 'change', hint: 'ask again, its answers as defaults' },
    ],
    proposal: 'keep',
  });
  if (what === 'change') answers.review();
}
