/**
 * `panoramix wizard forgive NUMBER`: the operator has seen that owners signed two directories of one number, knows
 * why, and lets mail go on without a change of the log. What proves it stays on disk.
 */
import { Command } from 'commander';
import { readConfig, section } from '../config.ts';
import { PanoramixError } from '../errors.ts';
import { readEvidence } from '../mixer/evidence.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { OperatorFile } from '../mixer/operator-file.ts';
import { Terminal } from '../terminal.ts';
import { EXIT, runVerb } from './program.ts';

/** The verb, for wizard.ts. */
export function forgiveCommand(): Command {
  return new Command('forgive')
    .description('lets mail go on after owners signed two directories of one number')
    .argument('<number>', 'the number, as status names it')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .action((number: string, flags: { config?: string }, command: Command) =>
      runVerb(async () => {
        const { config = flags.config } = command.optsWithGlobals<{ config?: string }>();
        return await Promise.resolve(forgive(Number(number), config));
      }),
    );
}

function forgive(number: number, configPath: string | undefined): number {
  const config = readConfig(configPath);
  const { mixnet_file: statePath } = section(config, 'node');
  const mixnetId = new MixnetStateFile(statePath).read()?.mixnet_id ?? '';
  const found = readEvidence(config.data_dir, mixnetId).find((one) => one.number === number);
  if (!found) {
    throw new PanoramixError('config-invalid', `there are no two directories of number ${number}`);
  }
  const operator = new OperatorFile(statePath);
  const forgiven = new Set(operator.read().forgiven).add(number);
  operator.update({ forgiven: [...forgiven].toSorted((left, right) => left - right) });
  const terminal = new Terminal();
  terminal.line(`Directories of number ${number}, both signed by:`);
  for (const peer of found.signedBoth) terminal.line(`  ${peer}`);
  terminal.line('Mail goes on at the next look, within a minute. The proof stays where it is.');
  return EXIT.done;
}
