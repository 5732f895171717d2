/** Dot-stuffing of a canonical message for DATA (RFC 5321 §4.5.2): one look, one copy at most. */

const LF = 0x0a;
const DOT = 0x2e;

/** The message with another dot before each dot that begins a line; itself where none does. */
export function stuff(data: Uint8Array): Uint8Array {
  let dots = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === DOT && (i === 0 || data[i - 1] === LF)) dots++;
  }
  if (dots === 0) return data;
  const stuffed = new Uint8Array(data.length + dots);
  let length = 0;
  for (let i = 0; i < data.length; i++) {
    const byte = data[i] as number;
    if (byte === DOT && (i === 0 || data[i - 1] === LF)) stuffed[length++] = DOT;
    stuffed[length++] = byte;
  }
  return stuffed;
}
