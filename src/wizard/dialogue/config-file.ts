/**
 * The configuration file as the wizards write it: answer by answer, so that an interrupted dialogue goes
 * on where it was. What somebody has written there stays: comments, order, other keys. Mode 0600.
 */
import { isMap, parseDocument, YAMLMap, type Document } from 'yaml';
import { readIfThere, replaceDurably } from '../../durable-file.ts';
import { PanoramixError, wordsOf } from '../../errors.ts';
import type { Value } from './question.ts';

/** A configuration file that is being filled. */
export class ConfigFile {
  readonly path: string;
  readonly #document: Document;
  /** Whether there was a file before the first answer. */
  readonly wasThere: boolean;

  /**
   * Reads the file, if it is there.
   * @param path absolute
   * @param heading the first comment of a new file
   * @throws PanoramixError `config-invalid` where it cannot be read or is no YAML; it is never overwritten then
   */
  constructor(path: string, heading: string) {
    this.path = path;
    const text = named(path, () => readIfThere(path));
    this.wasThere = text !== null;
    this.#document = parseDocument(text ?? '', { uniqueKeys: true });
    const [error] = this.#document.errors;
    if (error) throw new PanoramixError('config-invalid', `${path}: ${error.message}`);
    if (this.#document.contents === null) {
      this.#document.contents = new YAMLMap();
      if (!this.wasThere) this.#document.commentBefore = ` ${heading}`;
    }
    if (!isMap(this.#document.contents)) {
      throw new PanoramixError('config-invalid', `${path} is no list of keys and values`);
    }
  }

  /** What stands at a key; undefined where nothing does. */
  get(key: readonly string[]): unknown {
    const value: unknown = this.#document.getIn(key);
    if (value === undefined || value === null) return undefined;
    return typeof value === 'object' && 'toJSON' in value ? this.#plain(key) : value;
  }

  /**
   * Writes an answer, durably.
   * @throws PanoramixError `config-invalid` where the file cannot be written
   */
  set(key: readonly string[], value: Value): void {
    for (let length = 1; length < key.length; length++) {
      const above = key.slice(0, length);
      if (!isMap(this.#document.getIn(above, true))) {
        this.#document.setIn(above, new YAMLMap());
      }
    }
    this.#document.setIn(key, Array.isArray(value) ? this.#list(value) : value);
    this.#write();
  }

  /** Takes away what another answer has made wrong, durably. Throws as `set`. */
  remove(key: readonly string[]): void {
    if (this.#document.deleteIn(key)) this.#write();
  }

  #write(): void {
    const text = this.#document.toString({ lineWidth: 0 });
    named(this.path, () => replaceDurably(this.path, text));
  }

  #list(values: readonly string[]): unknown {
    return this.#document.createNode([...values], { flow: true });
  }

  #plain(key: readonly string[]): unknown {
    let value: unknown = this.#document.toJS();
    for (const name of key) value = (value as Record<string, unknown> | undefined)?.[name];
    return value;
  }
}

/** A file system's error says what it was about, but not that this is the configuration. */
function named<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const why = wordsOf(error);
    throw new PanoramixError('config-invalid', `the configuration file ${path}: ${why}`, error);
  }
}
