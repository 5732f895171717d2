/** Bodies whose every line is the same, and the middle of some figures. */

/** At least so many bytes of one line, again and again; `..` is a dot that was stuffed. */
export function stuffedBody(line: string, bytes: number): Buffer {
  return Buffer.from(line.repeat(Math.ceil(bytes / line.length)));
}

export function medianOf(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
