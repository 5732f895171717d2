/** By what a step shows in what a program sends to its Redis: keys, and BullMQ's scripts. */
import { clientStep, type StepOptions } from './client-step.ts';
import type { RedisFrame, Step } from './step.ts';

/** Any step of Redis; the program is the client there. */
export function redisStep(
  role: Step['role'],
  name: string,
  matches: (frame: RedisFrame) => boolean,
  options: StepOptions = {},
): Step {
  return clientStep('redis', role, name, matches, { isAnsweredBy: isDone, ...options });
}

/** A job is taken: seen in the reply, for a worker also asks where there is none. */
export function takingStep(role: Step['role'], name: string, queue: RegExp): Step {
  return redisStep(
    role,
    name,
    (frame) => frame.script === 'moveToActive' && queue.test(queueOf(frame)),
    { moments: ['after'], isAnsweredBy: holdsJob },
  );
}

/** A script of ours, or a transaction, to which each of these keys is given; `$` after a key where it ends. */
export function touches(frame: RedisFrame, ...keys: readonly RegExp[]): boolean {
  return keys.every((key) => frame.keys.some((each) => key.test(each)));
}

export function isScript({ command, script }: RedisFrame): boolean {
  return script === '' && (command === 'EVALSHA' || command === 'EVAL');
}

/** A queue whose keys BullMQ's script gets; empty where it is none of its scripts. */
export function queueOf({ script, keys }: RedisFrame): string {
  if (script === '') return '';
  const queue = /^[^:]+:([^:]+):(?:wait|active|id|meta|delayed|completed|stalled)$/;
  for (const key of keys) {
    const found = queue.exec(key)?.[1];
    if (found !== undefined) return found;
  }
  return '';
}

/** Jobs are added to a queue. */
export function adds(frame: RedisFrame, queue: RegExp): boolean {
  return /^add\w*Job$/.test(frame.script) && queue.test(queueOf(frame));
}

/** A job of a queue ends well. */
export function ends(frame: RedisFrame, queue: RegExp): boolean {
  return frame.script === 'moveToFinished' && queue.test(queueOf(frame));
}

/** After a restart a server does not know a script, which is then sent whole: nothing was done yet. */
function isDone(reply: Buffer): boolean {
  return reply[0] !== '-'.charCodeAt(0);
}

/** A list whose first part is a list of a job's fields. */
function holdsJob(reply: Buffer): boolean {
  return /^\*\d+\r\n[*%][1-9]/.test(reply.toString('latin1', 0, 20));
}
