/**
 * Long answers, written as their readers take them: what one costs in memory and in time is a few
 * documents, however long it is and however slowly, or often, it is asked for.
 */
import { Readable } from 'node:stream';
import type { Context } from 'koa';
import type { Document, Documents } from './documents.ts';

/** Documents read at once; each is at most 600 kB. */
const BATCH = 8;

/** Documents in the order of their keys, read a few at a time; those that are gone are left out. */
export async function* readInTurn<T>(
  documents: Documents,
  keys: readonly string[],
): AsyncGenerator<T> {
  for (let at = 0; at < keys.length; at += BATCH) {
    const found: Document<T>[] = await documents.readMany<T>(keys.slice(at, at + BATCH));
    for (const { value } of found) if (value !== null) yield value;
  }
}

/** Answers with a JSON list of `{data}`. What goes wrong before the first item becomes a problem. */
export async function answerList(ctx: Context, items: AsyncIterable<unknown>): Promise<void> {
  await answerPieces(ctx, listPieces(items));
}

/** Answers with JSON in pieces. A later failure cuts the answer off, which no reader takes for its end. */
export async function answerPieces(ctx: Context, pieces: AsyncGenerator<string>): Promise<void> {
  const first = await pieces.next();
  const { res } = ctx;
  async function* all(): AsyncGenerator<string> {
    try {
      if (!first.done) yield first.value;
      yield* pieces;
    } catch (error) {
      ctx.app.emit('error', error);
      res.destroy();
    }
  }
  ctx.type = 'application/json';
  ctx.body = Readable.from(all(), { objectMode: true, highWaterMark: 2 });
}

async function* listPieces(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  let before = '[';
  for await (const data of items) {
    yield `${before}${JSON.stringify({ data })}`;
    before = ',';
  }
  yield before === '[' ? '[]' : ']';
}
