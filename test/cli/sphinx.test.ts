import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { answerSphinx } from '../../src/cli/sphinx.ts';
import type { SphinxVerb } from '../../src/cli/sphinx.ts';
import { native } from '../../src/crypto/native.ts';
import { primitiveSets, vectors } from '../sphinx/vectors.ts';
import type { Vector } from '../sphinx/vectors.ts';

const program = fileURLToPath(new URL('run-sphinx.ts', import.meta.url));

/** Answers, one for each line, of a process of its own. */
async function run(
  verb: SphinxVerb,
  lines: readonly string[],
  ...options: readonly string[]
): Promise<{ answers: unknown[]; exitCode: number | null }> {
  const child = spawn(process.execPath, [program, 'sphinx', verb, ...options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const answers = output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);
  return { answers, exitCode };
}

function paramsOf({ group, header_len, body_len }: Vector) {
  return { group, header_len, body_len };
}

for (const { name } of primitiveSets) {
  const forward = vectors.filter(({ kind }) => kind === 'forward');
  const surbs = vectors.filter(({ kind }) => kind === 'surb');
  const ask = (verb: SphinxVerb, objects: readonly object[]) =>
    run(
      verb,
      objects.map((object) => JSON.stringify(object)),
      '--primitives',
      name,
    );

  test(`build answers the reference's packets, line by line (${name})`, async (t) => {
    const { answers, exitCode } = await ask(
      'build',
      forward.map((vector) => ({ ...vector, packet: undefined })),
    );
    t.is(exitCode, 0);
    t.deepEqual(
      answers,
      forward.map(({ packet }) => ({ packet })),
    );
  });

  test(`peel answers every step of every vector (${name})`, async (t) => {
    const steps = vectors.flatMap((vector) =>
      vector.steps.map((step, i) => ({
        step,
        object: {
          ...paramsOf(vector),
          secret: vector.hops[i]?.secret,
          packet: vector.steps[i - 1]?.out ?? vector.packet,
        },
      })),
    );
    const { answers } = await ask(
      'peel',
      steps.map(({ object }) => object),
    );
    t.deepEqual(
      answers,
      steps.map(({ step }) => step),
    );
  });

  test(`surb and reply answer the reference's blocks and packets (${name})`, async (t) => {
    const blocks = await ask(
      'surb',
      surbs.map((vector) => ({ ...vector, surb: undefined })),
    );
    t.deepEqual(
      blocks.answers,
      surbs.map(({ surb }) => ({ surb })),
    );
    const replies = await ask(
      'reply',
      surbs.map(({ packet: _packet, ...vector }) => vector),
    );
    t.deepEqual(
      replies.answers,
      surbs.map(({ packet }) => ({ packet })),
    );
  });

  test(`open answers payloads and replies (${name})`, async (t) => {
    const { answers } = await ask(
      'open',
      vectors.map((vector) => {
        const last = vector.steps.at(-1);
        const delta = last?.out.delta;
        return vector.kind === 'forward'
          ? { ...paramsOf(vector), mac_key: last?.mac_key, delta }
          : { ...paramsOf(vector), keytuple: vector.surb.keytuple, delta };
      }),
    );
    t.deepEqual(
      answers,
      vectors.map(({ kind, dest, message }) =>
        kind === 'forward' ? { dest, message } : { message },
      ),
    );
  });
}

test('a bad line gets an error, and the next line its answer', async (t) => {
  const vector = vectors[1];
  if (!vector) throw new Error('there are vectors');
  const good = {
    ...paramsOf(vector),
    secret: vector.hops[0]?.secret,
    packet: vector.packet,
  };
  const lines = ['not json', '', '[]', 'null', '7', '{}', '{"group": 5}', JSON.stringify(good)];
  const { answers, exitCode } = await run('peel', lines);
  t.is(exitCode, 0);
  t.deepEqual(answers.slice(0, -1), [
    { error: 'the line is not JSON' },
    { error: 'the line: expected an object' },
    { error: 'the line: expected an object' },
    { error: 'the line: expected an object' },
    { error: 'packet: expected an object' },
    { error: 'GROUP 5 is not known' },
  ]);
  t.is((answers.at(-1) as { tag?: string }).tag, vector.steps[0]?.tag);
});

/** The same hex with its first digit changed. */
function touched(hex: string): string {
  return (hex.startsWith('0') ? '1' : '0') + hex.slice(1);
}

test('what is refused is answered with its reason', (t) => {
  const vector = vectors[1];
  if (!vector) throw new Error('there are vectors');
  const { packet } = vector;
  const peel = (change: object, secret = vector.hops[0]?.secret) =>
    answerSphinx('peel', { ...paramsOf(vector), secret, packet: { ...packet, ...change } }, native);
  t.deepEqual(peel({ alpha: '00'.repeat(32) }), { drop: 'point-invalid' });
  t.deepEqual(peel({ beta: touched(packet.beta) }), { drop: 'mac-mismatch' });
  t.deepEqual(peel({ gamma: touched(packet.gamma) }), { drop: 'mac-mismatch' });
  t.deepEqual(peel({ gamma: '' }), { drop: 'packet-length' });
  const shifted = { alpha: `${packet.alpha}00`, delta: packet.delta.slice(2) };
  t.deepEqual(
    peel(shifted),
    { drop: 'packet-length' },
    'two wrong lengths do not make a right one',
  );
  t.deepEqual(peel({ delta: undefined }), { error: 'delta: expected hex' });
  t.deepEqual(peel({}, 'ab'), { error: 'secret: expected 32 bytes, got 1' });

  const last = vector.steps.at(-1);
  const open = (change: object) =>
    answerSphinx(
      'open',
      { ...paramsOf(vector), mac_key: last?.mac_key, delta: last?.out.delta, ...change },
      native,
    );
  t.deepEqual(open({ delta: '' }), { drop: 'body-length' });
  t.deepEqual(open({ delta: touched(last?.out.delta ?? '') }), { drop: 'body-mac-mismatch' });
  t.deepEqual(open({ mac_key: '00' }), { error: 'macKey: expected 16 bytes, got 1' });
  t.deepEqual(open({ keytuple: 5 }), { error: 'keytuple: expected a list' });
});

test('recorded randomness is used up exactly, or that is an error', (t) => {
  const vector = vectors[1];
  if (!vector) throw new Error('there are vectors');
  const build = (change: object) => answerSphinx('build', { ...vector, ...change }, native);
  t.deepEqual(build({}), { packet: vector.packet });
  t.deepEqual(build({ randomness: [] }), {
    error: 'randomness[0]: expected 32 bytes, got nothing',
  });
  t.deepEqual(build({ randomness: ['00', ...vector.randomness] }), {
    error: 'randomness[0]: expected 32 bytes, got 1',
  });
  t.deepEqual(build({ randomness: [...vector.randomness, '00'] }), {
    error: 'randomness: only 2 strings are drawn',
  });
  t.notDeepEqual(build({ randomness: undefined }), { packet: vector.packet }, 'fresh without it');
  t.regex(String(build({ message: 'ab'.repeat(1024) })['error']), /^message: /);
  t.regex(
    String(build({ hops: [{ routing: '', public: '00' }] })['error']),
    /hops\[0\]\.publicKey/,
  );
});
