/**
 * Filling up: what is shorter than a packet's room is followed by zeros, so that all packets of a
 * mixnet have one size. The length stands in the frame; the zeros are encrypted like all else.
 */

/**
 * `bytes` and then zeros, `length` bytes in all, in a new array.
 * @throws RangeError where `bytes` is longer
 */
export function pad(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  if (bytes.length > length) throw new RangeError(`${bytes.length} bytes do not fit in ${length}`);
  const padded = new Uint8Array(length);
  padded.set(bytes);
  return padded;
}

/** The first `length` bytes, or null where it is longer or what follows is not all zeros. */
export function unpad(padded: Uint8Array, length: number): Uint8Array | null {
  if (length > padded.length) return null;
  for (let i = length; i < padded.length; i++) if (padded[i] !== 0) return null;
  return padded.subarray(0, length);
}
