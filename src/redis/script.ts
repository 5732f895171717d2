/**
 * Lua scripts of ours: several checks and writes as one atomic step. Sent by hash, and by text once
 * after a server has started; a whole group of calls travels and is fsynced together.
 */
import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

import { guarded } from './clients.ts';

/** One call of a script. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly values: readonly (string | number | Uint8Array)[];
}

/** A script and its hash. */
export interface Script {
  /** For error messages: what the script does. */
  readonly doing: string;
  readonly text: string;
  readonly sha1: string;
}

/** A script from its text. */
export function createScript(doing: string, text: string): Script {
  return { doing, text, sha1: createHash('sha1').update(text).digest('hex') };
}

/** Runs a script once; its reply as Redis gives it, byte strings as `Buffer`. */
export async function runScript(redis: Redis, script: Script, call: ScriptCall): Promise<unknown> {
  const [reply] = await runScripts(redis, [{ script, call }]);
  return reply;
}

/**
 * Runs many calls in order in one pipeline; the replies stand in the same order. Throws where one of
 * them failed: the others may have happened all the same.
 */
export async function runScripts(
  redis: Redis,
  calls: readonly { readonly script: Script; readonly call: ScriptCall }[],
): Promise<unknown[]> {
  const doing = calls[0]?.script.doing ?? 'run no script';
  return await guarded(doing, async () => {
    const replies = await send(redis, calls);
    const unknown = replies.flatMap(({ error }, index) => (isNoScript(error) ? [index] : []));
    if (unknown.length > 0) {
      // A server forgets scripts when it restarts. Those calls did nothing: load, then call again.
      const texts = new Set(unknown.map((index) => at(calls, index).script.text));
      for (const text of texts) await redis.script('LOAD', text);
      const again = await send(
        redis,
        unknown.map((index) => at(calls, index)),
      );
      again.forEach((reply, position) => (replies[at(unknown, position)] = reply));
    }
    return replies.map(({ error, reply }) => {
      if (error !== null) throw error;
      return reply;
    });
  });
}

/**
 * One call travels as it is: ioredis gives each pipeline a method for every command there is and every script
 * that BullMQ has defined, which takes longer than most calls.
 */
async function send(
  redis: Redis,
  calls: readonly { readonly script: Script; readonly call: ScriptCall }[],
): Promise<{ error: Error | null; reply: unknown }[]> {
  const [first, ...more] = calls.map(commandOf);
  if (first === undefined) return [];
  if (more.length === 0) {
    try {
      return [{ error: null, reply: await redis.callBuffer(...first) }];
    } catch (thrown) {
      return [{ error: thrown as Error, reply: null }];
    }
  }
  const commands = redis.pipeline();
  for (const command of [first, ...more]) commands.callBuffer(...command);
  const results = (await commands.exec()) ?? [];
  return results.map(([error, reply]) => ({ error, reply }));
}

function commandOf({ script, call }: { readonly script: Script; readonly call: ScriptCall }) {
  const values = call.values.map((value) =>
    value instanceof Uint8Array
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : value,
  );
  return ['EVALSHA', script.sha1, call.keys.length, ...call.keys, ...values] as const;
}

function isNoScript(error: Error | null): boolean {
  return error !== null && error.message.startsWith('NOSCRIPT');
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index}`);
  return item;
}
