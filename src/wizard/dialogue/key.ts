/**
 * The peer's key (D4.2 §5.1, "No key available. Choose 'set' or 'create'"): written once, mode 0600, never
 * overwritten, and shown to nobody who does not ask for it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../bytes.ts';
import type { Identity } from '../../crypto/keys.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { createDurably } from '../../durable-file.ts';
import { PanoramixError } from '../../errors.ts';
import { readOrCreateIdentity, readPrivate } from '../../key-files.ts';
import type { Answers } from './answers.ts';
import { QUESTIONS } from './questions.ts';

/** As `readOrCreateIdentity` has it. */
const IDENTITY_FILE = 'identity.key';
const STANDARD_INPUT = 0;

/**
 * The identity in a data folder, set or created first where there is none.
 * @param isShown whether the secret may be shown on the terminal (`--show-secret`)
 * @throws PanoramixError `config-invalid` where what is set is no key, or others may read its file
 */
export async function provideKey(
  answers: Answers,
  dataDir: string,
  primitives: Primitives,
  isShown: boolean,
): Promise<Identity> {
  const { talk } = answers;
  const path = join(dataDir, IDENTITY_FILE);
  if (existsSync(path)) {
    const identity = readOrCreateIdentity(dataDir, primitives);
    talk.say(`Key is available: ${identity.peerId}`);
    return identity;
  }
  const isSet = (await answers.ask(QUESTIONS.action)) === 'set';
  if (isSet) writeKey(path, await bringKey(answers));
  const identity = readOrCreateIdentity(dataDir, primitives);
  const secret = isShown ? `'${toHex(identity.secret)}'` : `(in ${path}, for you alone)`;
  talk.done(
    `${isSet ? 'Set' : 'Created'} key with values: {'SECRET': ${secret}, 'PUBLIC': '${identity.peerId}'}`,
  );
  return identity;
}

async function bringKey(answers: Answers): Promise<string> {
  const path = String(await answers.ask(QUESTIONS.KEY_FILE));
  if (path === '') return String(await answers.ask(QUESTIONS.SECRET));
  if (path === '-' && process.stdin.isTTY) {
    throw new PanoramixError(
      'config-invalid',
      'a terminal would show the key: leave KEY_FILE empty',
    );
  }
  const text = path === '-' ? readFileSync(STANDARD_INPUT, 'utf8') : readPrivate(path);
  const parsed = QUESTIONS.SECRET.parse(text.trim());
  // What stands there may be a key with a letter too few: it is not repeated.
  if (!('value' in parsed)) {
    throw new PanoramixError('config-invalid', `KEY_FILE ${path} does not hold 64 hex digits`);
  }
  return String(parsed.value);
}

function writeKey(path: string, hex: string): void {
  if (createDurably(path, `${hex.toLowerCase()}\n`)) return;
  throw new PanoramixError('config-invalid', `${path} has just been written by another program`);
}
