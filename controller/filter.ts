/** Filters of lists: a query parameter compares with the field of its name (design §7). */
import { PanoramixError } from '../src/errors.ts';

/** Whether each parameter equals its field, as text. Throws where there is no such field to compare. */
function matches(data: object, query: Readonly<Record<string, string>>): boolean {
  return Object.entries(query).every(([name, wanted]) => {
    const value = Object.hasOwn(data, name) ? (data as Record<string, unknown>)[name] : undefined;
    if (typeof value === 'string') return value === wanted;
    if (typeof value === 'number' || typeof value === 'boolean') return `${value}` === wanted;
    throw new PanoramixError('query-malformed', 'no such filter');
  });
}

/** What of a list its readers asked for. */
export async function* filtered<T, View extends object>(
  items: AsyncIterable<T>,
  view: (item: T) => View,
  query: Readonly<Record<string, string>>,
): AsyncGenerator<View> {
  for await (const item of items) {
    const data = view(item);
    if (matches(data, query)) yield data;
  }
}
