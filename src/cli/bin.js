#!/usr/bin/env node
// Starts `panoramix`: from dist/ where the package is installed, from src/ in a checkout (plain
// JavaScript, so that an old Node can still read the sentence that says what to do).
import { existsSync } from 'node:fs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `panoramix needs Node 24.12 or later, this is ${process.versions.node}: ` +
      'run it as "npm run panoramix -- VERB" in a checkout, which uses the Node that npm ci installed\n',
  );
  process.exit(2);
}
const built = new URL('../../dist/src/cli/main.js', import.meta.url);
const source = new URL('./main.ts', import.meta.url);
await import(existsSync(source) ? source.href : built.href);
