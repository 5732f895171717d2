/**
 * Finds byte strings in others, in whatever spelling they were written: raw, hex, base64, base64url, at
 * any alignment, whole or a piece of 16 bytes. Pure; `search-store.ts` says where to look.
 */

/** What is looked for: at least 8 bytes, or chance would find it. */
export interface Needle {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where it is looked for. */
export interface Source {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Once for each needle and source. */
export interface Finding {
  readonly needle: string;
  readonly spelling: string;
  readonly source: string;
}

/** Enough for chance to find no piece of so many bytes, and few enough to find a key or an id. */
const PIECE_BYTES = 16;
const CHUNK_BYTES = 8;
/** Chunks of fewer different bytes are padding, which is everywhere. */
const DIFFERENT_MIN = 4;
/** Of the sieve in front of the table, for each chunk: one lookup in twenty passes it by chance. */
const SIEVE_PER_CHUNK = 20;

/** One spelling of a needle. */
interface Form {
  readonly needle: string;
  readonly spelling: string;
  readonly bytes: Buffer;
  /** How much of it in a row is a finding. */
  readonly matchMin: number;
}

interface Place {
  readonly form: Form;
  readonly at: number;
}

/**
 * All needles that are in the sources. Every 8-byte chunk of a source is looked up among chunks of the
 * needles, so near to each other that no piece of 16 bytes lies between two; what is found is compared.
 */
export function findBytes(
  needles: readonly Needle[],
  sources: readonly Source[],
): readonly Finding[] {
  const chunks = new Map<number, Place[]>();
  for (const form of needles.flatMap(formsOf)) {
    for (const at of chunksOf(form)) {
      const key = chunkKey(form.bytes, at);
      chunks.set(key, [...(chunks.get(key) ?? []), { form, at }]);
    }
  }
  const sieve = new Uint8Array(SIEVE_PER_CHUNK * chunks.size + 1);
  for (const key of chunks.keys()) sieve[key % sieve.length] = 1;
  return sources.flatMap((source) => findIn(source, chunks, sieve));
}

function findIn(
  source: Source,
  chunks: ReadonlyMap<number, readonly Place[]>,
  sieve: Uint8Array,
): Finding[] {
  const { buffer, byteOffset, length } = source.bytes;
  const bytes = Buffer.from(buffer, byteOffset, length);
  const found = new Map<string, Finding>();
  for (let at = 0; at + CHUNK_BYTES <= length; at++) {
    const key = chunkKey(bytes, at);
    if (sieve[key % sieve.length] === 0) continue;
    for (const { form, at: formAt } of chunks.get(key) ?? []) {
      if (found.has(form.needle) || commonBytes(bytes, at, form.bytes, formAt) < form.matchMin)
        continue;
      const { needle, spelling } = form;
      found.set(needle, { needle, spelling, source: source.name });
    }
  }
  return [...found.values()];
}

/** Where chunks start, so that each piece that is long enough, and no padding, holds one of them. */
function chunksOf({ bytes, matchMin }: Form): readonly number[] {
  const isPadding = (at: number): boolean =>
    new Set(bytes.subarray(at, at + CHUNK_BYTES)).size < DIFFERENT_MIN;
  const step = matchMin - CHUNK_BYTES + 1;
  const last = bytes.length - CHUNK_BYTES;
  const starts: number[] = [];
  for (let from = 0; from <= last;) {
    // The farthest that leaves no piece without one; where all up to it are padding, the next.
    let at = Math.min(starts.length === 0 ? from : from + step - 1, last);
    while (at > from && isPadding(at)) at--;
    while (at <= last && isPadding(at)) at++;
    if (at <= last) starts.push(at);
    from = at + 1;
  }
  return starts;
}

/** How many bytes in a row are the same around two places. */
function commonBytes(left: Buffer, leftAt: number, right: Buffer, rightAt: number): number {
  let before = 0;
  while (
    before < Math.min(leftAt, rightAt) &&
    left[leftAt - before - 1] === right[rightAt - before - 1]
  ) {
    before++;
  }
  let after = 0;
  while (
    after < Math.min(left.length - leftAt, right.length - rightAt) &&
    left[leftAt + after] === right[rightAt + after]
  ) {
    after++;
  }
  return before + after;
}

/** 53 bits of 8 bytes: what numbers hold exactly. */
function chunkKey(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + (bytes.readUInt32LE(at + 4) & 0x1fffff) * 2 ** 32;
}

function formsOf({ name, bytes }: Needle): Form[] {
  if (bytes.length < CHUNK_BYTES) throw new RangeError(`${name}: too short to be looked for`);
  const raw = Buffer.from(bytes);
  const form = (spelling: string, written: Buffer, bytesPerPiece: number): Form => ({
    needle: name,
    spelling,
    bytes: written,
    matchMin: Math.max(CHUNK_BYTES, Math.min(bytesPerPiece, written.length)),
  });
  const hex = raw.toString('hex');
  const forms = [
    form('raw', raw, PIECE_BYTES),
    form('hex', Buffer.from(hex), 2 * PIECE_BYTES),
    form('HEX', Buffer.from(hex.toUpperCase()), 2 * PIECE_BYTES),
  ];
  // Inside a longer base64 text three bytes are four letters, from one of three places on.
  for (let before = 0; before < 3; before++) {
    for (const spelling of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(before), raw])
        .toString(spelling)
        .replace(/=+$/, '');
      const lettersEnd = Math.floor(((before + raw.length) * 4) / 3);
      const whole = text.slice(before === 0 ? 0 : before + 1, lettersEnd);
      if (whole.length >= CHUNK_BYTES)
        forms.push(form(spelling, Buffer.from(whole), Math.floor((PIECE_BYTES * 4) / 3) - 1));
    }
  }
  return forms;
}
