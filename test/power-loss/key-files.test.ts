/**
 * The power fails after each single step of a mix key's life on disk, from the drawing of its secret to the last trace
 * of it. A key that others may know of is there after the boot; one that was destroyed is nowhere.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { EndpointFiles } from '../../src/mixer/endpoint-files.ts';
import { anySurvives, NOTHING_SURVIVES } from './disk.ts';
import { runUntilPowerFails, sourceOf } from './failing-run.ts';
import { Machine } from './machine.ts';

/** Says each step once it is done, with the key's secret, as who announces the key would know it. */
const LIFE = `
  import { writeSync } from 'node:fs';
  const { native } = await import(${sourceOf('crypto/native.ts')});
  const { EndpointFiles } = await import(${sourceOf('mixer/endpoint-files.ts')});
  const say = (...words) => writeSync(1, words.join(' ') + '\\n');
  const files = new EndpointFiles('data', native);
  const owner = { peerId: 'ab'.repeat(32), catalogUrl: 'http://127.0.0.1:1/', group: 'X25519' };
  const life = { opensMs: 1e12, closesMs: 2e12, keyLifetimeMs: 1e12 };
  const { endpointId, endpoint } = files.create(owner, life);
  say('created', endpointId, Buffer.from(endpoint.mixKey.secret).toString('hex'));
  files.change(endpointId, { ...life, closesMs: 1.5e12 });
  say('changed');
  files.end(endpointId);
  say('ended');
  files.forget(endpointId);
  say('forgotten');`;

/** What must not be after the next start. */
function faultsOf(dataDir: string, lines: readonly string[]): string[] {
  const said = new Map(lines.map((line) => [line.split(' ')[0], line.split(' ').slice(1)]));
  const [endpointId = '', secret = ''] = said.get('created') ?? [];
  // It starts in any case.
  const position = new EndpointFiles(dataDir, native).get(endpointId);
  if (!said.has('created')) return [];
  const kept = position?.endpoint && toHex(position.endpoint.mixKey.secret);
  const where = filesUnder(dataDir).filter((path) => readFileSync(path, 'utf8').includes(secret));
  if (said.has('ended')) {
    return [
      ...(position?.endpoint ? ['a destroyed key is back'] : []),
      ...where.map((path) => `its secret lies in ${path}`),
    ];
  }
  // While it is being destroyed it may be there or not, once its change was said to be written.
  const isEnding = said.has('changed');
  if (kept === secret || (isEnding && position !== null && kept === null)) return [];
  return [position === null ? 'it is lost' : 'it has another secret'];
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

const HALF = anySurvives(() => 0.5);
for (const [how, survival, stepNotes] of [
  ['nothing that was not synced', NOTHING_SURVIVES, 1],
  ['half of what was not synced', HALF, process.env['POWER_LOSS_STEPS'] === 'all' ? 1 : 5],
] as const) {
  test.serial(
    `a mix key survives a power cut after any step, and its end does, where ${how} is left`,
    async (t) => {
      const reached = new Set<string>();
      for (let failsAfter = 1; ; failsAfter += stepNotes) {
        const machine = new Machine();
        try {
          const { said, hasFailed } = await runUntilPowerFails(machine, LIFE, failsAfter, survival);
          reached.add(said.at(-1)?.split(' ')[0] ?? '');
          t.deepEqual(faultsOf(join(machine.disk, 'data'), said), [], `after ${failsAfter} notes`);
          if (!hasFailed) break;
        } finally {
          machine.remove();
        }
      }
      // Some steps take one note only, which a longer stride may miss.
      const all = ['', 'created', 'changed', 'ended', 'forgotten'];
      if (stepNotes === 1) t.deepEqual([...reached], all);
      else t.is([...reached].at(-1), all.at(-1));
    },
  );
}
