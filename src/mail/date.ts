/** Dates as mail has them. */

/** RFC 5322 §3.3, in UTC: where a gateway stands is nobody's business. */
export function dateText(unixMs: number): string {
  return new Date(unixMs).toUTCString().replace('GMT', '+0000');
}
