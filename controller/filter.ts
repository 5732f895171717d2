/** Filters of lists: a query parameter compares with the field of its name (design §7). */
import { PanoramixError } from '../src/errors.ts';

/** Whether each parameter equals its field, as text. Throws where there is no such field to compare. */
export function matches(
  data: Readonly<Record<string, unknown>>,
  query: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(query).every(([name, wanted]) => {
    const value = Object.hasOwn(data, name) ? data[name] : undefined;
    if (typeof value === 'string') return value === wanted;
    if (typeof value === 'number' || typeof value === 'boolean') return `${value}` === wanted;
    throw new PanoramixError('query-malformed', 'no such filter');
  });
}
