/** Operators of tests: they answer what a test says, as programs do elsewhere, and remember what they were asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { decideByOptions, type Decisions } from '../../src/wizard/decisions.ts';

/** A question as it was put. */
export interface Asked {
  readonly kind: keyof Decisions;
  readonly question: Readonly<Record<string, unknown>>;
}

/** Decisions that note every question; what is not scripted is accepted. */
export function scripted(script: Partial<Decisions> = {}): {
  readonly decisions: Decisions;
  readonly asked: Asked[];
} {
  const asked: Asked[] = [];
  const all = { ...decideByOptions(), ...script };
  const kinds = Object.keys(all) as (keyof Decisions)[];
  const decisions = Object.fromEntries(
    kinds.map((kind) => [
      kind,
      async (question: Asked['question'], moot: AbortSignal): Promise<unknown> => {
        asked.push({ kind, question });
        const answer = all[kind] as (question: unknown, moot: AbortSignal) => Promise<unknown>;
        return await answer(question, moot);
      },
    ]),
  ) as unknown as Decisions;
  return { decisions, asked };
}

/** Somebody who sleeps over every question. */
export async function slowly<Answer>(answer: Answer, delayMs: number): Promise<Answer> {
  await sleep(delayMs);
  return answer;
}

/** An abort with this reason, as an answer to anything. */
export function aborting(reason: string): () => Promise<{ answer: 'abort'; reason: string }> {
  return () => Promise.resolve({ answer: 'abort', reason });
}
