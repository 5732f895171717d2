#!/usr/bin/env node
// Starts `panoramix wizard` under the name that D4.2 §5 gives it.
process.argv.splice(2, 0, 'wizard');
await import('./bin.js');
