#!/usr/bin/env node
// Starts `panoramix server-wizard` under the name that D4.2 §5.1 gives it.
process.argv.splice(2, 0, 'server-wizard');
await import('./bin.js');
