/**
 * Redis as a proxy reads it. What runs inside MULTI is one request, its EXEC: before it nothing has happened, after it
 * all of it. BullMQ's scripts are known by their hashes, which stand in its package beside their names.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { CommandReader, ReplyReader, type Command } from '../redis/resp.ts';
import type { Dialogue, Reply, Request } from './dialogue.ts';
import type { RedisFrame } from './step.ts';

interface BullmqScript {
  readonly name: string;
  readonly content: string;
}

const WORD_BYTES_MAX = 256;

/** Not exported by name, and ever there: what BullMQ itself loads. */
export const BULLMQ_SCRIPTS: readonly BullmqScript[] = Object.values(
  createRequire(import.meta.url)('bullmq/dist/cjs/scripts/index.js') as Record<
    string,
    BullmqScript
  >,
);
const NAMES: ReadonlyMap<string, string> = new Map(
  BULLMQ_SCRIPTS.map(({ name, content }) => [sha1(content), name]),
);

/** One connection to a Redis. */
export class RedisDialogue implements Dialogue {
  readonly #commands = new CommandReader();
  readonly #replies = new ReplyReader();
  #transaction: RedisFrame[] | null = null;
  #previousKeys: readonly string[] = [];
  /** `status` and its like ask what programs ask, and are none. */
  #isVisitor = false;
  #answered = 0;

  requests(chunk: Buffer): Request[] {
    return this.#commands.read(chunk).map((command) => {
      return { bytes: command.bytes, frame: this.#frame(frameOf(command)) };
    });
  }

  replies(chunk: Buffer): Reply[] {
    return this.#replies.read(chunk).map(({ bytes, isAnswer }) => {
      return { bytes, answers: isAnswer ? this.#answered++ : null };
    });
  }

  /** Within a transaction a command does nothing but queue. */
  #frame(frame: RedisFrame): RedisFrame {
    const { command, words } = frame;
    if (command === 'CLIENT') this.#isVisitor ||= /^panoramix:(?!program)/.test(words[2] ?? '');
    if (this.#isVisitor) return NOTHING;
    if (command === 'MULTI') this.#transaction = [];
    else if (this.#transaction !== null) {
      this.#transaction.push(frame);
      if (command !== 'EXEC' && command !== 'DISCARD') return NOTHING;
      const all = this.#transaction;
      this.#transaction = null;
      if (command === 'EXEC') return this.#after(together(all));
    }
    return this.#after(frame);
  }

  #after(frame: RedisFrame): RedisFrame {
    const placed = { ...frame, previousKeys: this.#previousKeys };
    // Samples and lookups come in between at any time.
    if (frame.command.startsWith('EVAL') && frame.script === '') this.#previousKeys = frame.keys;
    return placed;
  }
}

/** A command that is no step, whatever it is. */
const NOTHING: RedisFrame = {
  protocol: 'redis',
  command: '',
  script: '',
  keys: [],
  words: [],
  previousKeys: [],
};

/** What a command is, by itself. */
function frameOf({ words: bytes }: Command): RedisFrame {
  const words = bytes.map((word) => word.toString('latin1', 0, WORD_BYTES_MAX));
  const command = (words[0] ?? '').toUpperCase();
  const isScript = command === 'EVALSHA' || command === 'EVAL';
  const hash = command === 'EVAL' ? sha1(bytes[1] ?? '') : (words[1] ?? '');
  const keys = isScript ? words.slice(3, 3 + Number(words[2])) : words.slice(1, 2);
  const script = isScript ? (NAMES.get(hash) ?? '') : '';
  const spelled = [command, ...words.slice(1)];
  return { protocol: 'redis', command, script, keys, words: spelled, previousKeys: [] };
}

function together(frames: readonly RedisFrame[]): RedisFrame {
  return {
    protocol: 'redis',
    command: 'EXEC',
    script: frames.find(({ script }) => script !== '')?.script ?? '',
    keys: frames.flatMap(({ keys }) => keys),
    words: frames.flatMap(({ words }) => words),
    previousKeys: [],
  };
}

function sha1(text: string | Uint8Array): string {
  return createHash('sha1').update(text).digest('hex');
}
