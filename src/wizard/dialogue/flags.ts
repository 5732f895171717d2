/** The questions as command line flags, and what was said on the command line as answers. */
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { PanoramixError } from '../../errors.ts';
import { Answers, collectSaid } from './answers.ts';
import { ConfigFile } from './config-file.ts';
import { wordsOf, type Question } from './question.ts';
import type { Talk } from './talk.ts';

/** Flags that both wizards have. */
export interface DialogueFlags {
  readonly config?: string;
  readonly answers?: string;
  readonly yes?: true;
  readonly [flag: string]: unknown;
}

/** Adds a flag for each question that may be answered beforehand. */
export function addFlags(command: Command, questions: readonly Question[]): Command {
  for (const question of questions) {
    if (question.flag === '') continue;
    const words = wordsOf(question, question.proposal ?? null);
    command.addOption(new Option(`--${question.flag} <${question.name}>`, words));
  }
  return command;
}

/** What flags and environment say, by question name. */
export function saidByFlags(
  questions: readonly Question[],
  flags: DialogueFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Map<string, string> {
  const said = new Map<string, string>();
  for (const question of questions) {
    const given =
      question.flag === '' ? null : flags[new Option(`--${question.flag} <x>`).attributeName()];
    const text = typeof given === 'string' ? given : environment[question.name];
    if (text !== undefined) said.set(question.name, text);
  }
  return said;
}

/**
 * The answers of one run. The configuration file is --config, PANORAMIX_CONFIG, or asked for.
 * @param proposal the file's name where somebody is asked
 * @param environment answers that came by environment variables, by question name
 */
export async function openAnswers(
  talk: Talk,
  questions: readonly Question[],
  flags: DialogueFlags,
  proposal: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<Answers> {
  const said = collectSaid(questions, saidByFlags(questions, flags, environment), flags.answers);
  const given = flags.config ?? process.env['PANORAMIX_CONFIG'];
  if (given === undefined && !talk.answers) {
    throw new PanoramixError(
      'config-invalid',
      'no configuration file: set PANORAMIX_CONFIG or give --config FILE',
    );
  }
  const path = resolve(
    given ??
      (await talk.text({
        message: `Set the configuration file (default: '${proposal}')`,
        proposal,
      })),
  );
  talk.say(`Configuration file is: ${path}\nSet PANORAMIX_CONFIG environment variable to override`);
  const config = new ConfigFile(path, 'Written by the PANORAMIX wizard; edit it as you like.');
  return new Answers({ config, said, talk, takesProposals: flags.yes === true });
}
