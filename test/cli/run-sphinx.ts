/** A program with the verb `sphinx` alone, started as a process by the tests. */

import { Command } from 'commander';
import { sphinxCommand } from '../../src/cli/sphinx.ts';

await new Command('panoramix').addCommand(sphinxCommand()).parseAsync();
