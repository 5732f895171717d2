/**
 * A large mail's bytes, looked at in pieces: what else the process has to do, its ticks first of all, has its
 * turn in between. In one go 25 MB take 60 ms, and who watches the wire would see when such a mail came.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { bareEnds, canonicalise } from '../src/mail/message.ts';

/** A piece takes some ms. */
const PIECE_BYTES = 1024 * 1024;

/** As `canonicalise`. What is not canonical already is rare, and then made so in one go. */
export async function canonicaliseInTurns(data: Uint8Array): Promise<Uint8Array> {
  for (let from = 0; from < data.length; from += PIECE_BYTES) {
    const to = Math.min(data.length, from + PIECE_BYTES);
    if (bareEnds(data, from, to) > 0) return canonicalise(data);
    if (to < data.length) await nextTurn();
  }
  return endsLine(data) ? data : canonicalise(data);
}

/** Runs one step that goes over the whole mail, after others have had their turn. */
export async function inTurn<T>(data: Uint8Array, step: (data: Uint8Array) => T): Promise<T> {
  if (data.length > PIECE_BYTES) await nextTurn();
  return step(data);
}

function endsLine(data: Uint8Array): boolean {
  return data.length === 0 || data.at(-1) === 0x0a;
}
