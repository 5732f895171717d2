/**
 * The `panoramix` command: one verb per role or question (design: README.md, "Programs").
 * This folder is the one place that puts programs together; it alone imports filters/ and controller/.
 */
import { Command } from 'commander';
import { demoCommand, receiverCommand } from './demo.ts';
import { controllerCommand } from './controller.ts';
import { gatewayCommand, mixCommand } from './node.ts';
import { serverWizardCommand } from './server-wizard.ts';
import { simulateCommand } from './simulate.ts';
import { sphinxCommand } from './sphinx.ts';
import { statusCommand } from './status.ts';
import { wizardCommand } from './wizard.ts';

const program = new Command('panoramix')
  .description('sends opted-in e-mail through a Sphinx mixnet, beside your mail server')
  .showHelpAfterError()
  // An option belongs to the verb that it stands behind: `wizard change --yes` is not `wizard --yes`.
  .enablePositionalOptions()
  .addCommand(demoCommand())
  .addCommand(gatewayCommand())
  .addCommand(mixCommand())
  .addCommand(controllerCommand())
  .addCommand(serverWizardCommand())
  .addCommand(wizardCommand())
  .addCommand(statusCommand())
  .addCommand(simulateCommand())
  .addCommand(sphinxCommand())
  .addCommand(receiverCommand(), { hidden: true });

await program.parseAsync();
