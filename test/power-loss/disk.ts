/**
 * A folder as it would be found after a power cut: what was not synced is taken back, on the real files. What the
 * notes say is held against what lies there first, so that a step that was overlooked is an error.
 */
import {
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  durableBytes,
  namesAfter,
  unsyncedSteps,
  type DurableBytes,
  type Note,
  type Step,
} from './notes.ts';

/** How much of what was not synced is on the disk all the same. */
export interface Survival {
  /** Of so many unsynced steps of one folder the first few, a whole number up to `count`. */
  steps(count: number): number;
  /** Of so many unsynced bytes at the end of a file. */
  bytes(count: number): number;
}

/** Nothing that was not synced. */
export const NOTHING_SURVIVES: Survival = { steps: () => 0, bytes: () => 0 };

/** Any part of it, as a disk that was busy with it may leave. */
export function anySurvives(random: () => number): Survival {
  const upTo = (count: number): number => Math.floor(random() * (count + 1));
  return { steps: upTo, bytes: upTo };
}

/** What a cut took. */
export interface Taken {
  readonly bytes: number;
  /** Names that are as they were before. */
  readonly steps: number;
  /** Paths of the files that lost bytes or came back as they had been. */
  readonly files: readonly string[];
}

interface Listing {
  /** Names by folder, files and folders alike. */
  readonly names: Map<string, Map<string, string>>;
  readonly folders: Map<string, string>;
  readonly files: Map<string, { readonly path: string; readonly bytes: number }>;
}

/** One folder with all below it, from one start of the machine to the next. */
export class NotedDisk {
  readonly #root: string;
  readonly #kept: string;
  #before: Listing;

  /**
   * @param root what is watched
   * @param kept where disk-notes.c keeps what lost its name
   */
  constructor(root: string, kept: string) {
    this.#root = root;
    this.#kept = kept;
    this.#before = list(root);
  }

  /** Takes a file, and the folders on the way to it, for durable from the start. */
  adopt(path: string): void {
    const { ino, size } = lstatSync(path);
    this.#before.files.set(String(ino), { path, bytes: size });
    for (let inside = path; inside !== this.#root; inside = dirname(inside)) {
      const folder = String(lstatSync(dirname(inside)).ino);
      const names = this.#before.names.get(folder) ?? new Map<string, string>();
      this.#before.names.set(folder, names.set(basename(inside), String(lstatSync(inside).ino)));
    }
  }

  /**
   * Takes back what was not synced.
   * @throws Error where the notes do not explain what lies there
   */
  cut(notes: readonly Note[], survival: Survival): Taken {
    const unfollowed = notes.flatMap((note) => (note.kind === 'unfollowed' ? [note.what] : []));
    const now = list(this.#root);
    const gaps = [...unfollowed, ...differences(namesAfter(this.#before.names, notes), now)];
    if (gaps.length > 0) throw new Error(`the notes do not explain: ${gaps.join(', ')}`);
    const lost = dropSurviving(unsyncedSteps(notes), survival);
    for (const step of lost.toReversed()) this.#undo(step, now.folders);
    const taken = { bytes: 0, steps: lost.length, files: [] as string[] };
    const durable = durableBytes(notes);
    for (const [file, { path, bytes }] of list(this.#root).files) {
      const bytesLost = this.#restore(path, bytes, this.#durableOf(file, durable), survival);
      if (bytesLost === 0) continue;
      taken.bytes += bytesLost;
      taken.files.push(path.slice(this.#root.length + 1));
    }
    rmSync(this.#kept, { recursive: true });
    mkdirSync(this.#kept, { mode: 0o700 });
    this.#before = list(this.#root);
    return taken;
  }

  #durableOf(file: string, durable: ReadonlyMap<string, DurableBytes>): DurableBytes {
    const { bytes = null, former = null } = durable.get(file) ?? {};
    return { bytes: bytes ?? this.#before.files.get(file)?.bytes ?? null, former };
  }

  #restore(path: string, now: number, durable: DurableBytes, survival: Survival): number {
    if (durable.former !== null) {
      // Written in place and not synced: all of it is on the disk, or nothing.
      if (survival.steps(1) === 1) return 0;
      copyFileSync(join(this.#kept, durable.former), path);
      if (durable.bytes !== null) truncateSync(path, durable.bytes);
      return Math.max(now, 1);
    }
    if (durable.bytes === null || durable.bytes === now) return 0;
    if (durable.bytes > now) throw new Error(`${path} was cut short, and nothing is noted of it`);
    const stays = durable.bytes + survival.bytes(now - durable.bytes);
    truncateSync(path, stays);
    return now - stays;
  }

  #undo(step: Step, folders: Map<string, string>): void {
    const folder = folders.get(step.folder);
    // Of a folder that is gone, durably.
    if (folder === undefined) return;
    const path = join(folder, step.name);
    // What was made or renamed may have moved on for good, into another folder that was synced.
    if (step.kind !== 'remove' && !isThere(path, step.file)) return;
    switch (step.kind) {
      case 'create':
        // A folder goes with all that is in it, synced or not: nothing leads there.
        rmSync(path, { recursive: true });
        break;
      case 'remove':
        if (isThere(this.#keptAs(step.file), step.file)) linkSync(this.#keptAs(step.file), path);
        else {
          mkdirSync(path, { mode: 0o700 });
          folders.set(step.file, path);
        }
        break;
      case 'rename': {
        renameSync(path, join(folders.get(step.fromFolder) as string, step.from));
        if (step.replaced !== null) linkSync(this.#keptAs(step.replaced), path);
      }
    }
  }

  #keptAs(file: string): string {
    return join(this.#kept, file);
  }
}

/** Of each folder's steps the first few stay, by `survival`. */
function dropSurviving(steps: readonly Step[], survival: Survival): Step[] {
  const left = new Map<string, number>();
  for (const { folder } of steps) left.set(folder, (left.get(folder) ?? 0) + 1);
  for (const [folder, count] of left) left.set(folder, survival.steps(count));
  return steps.filter(({ folder }) => {
    const stays = left.get(folder) as number;
    left.set(folder, stays - 1);
    return stays <= 0;
  });
}

function list(root: string): Listing {
  const listing: Listing = { names: new Map(), folders: new Map(), files: new Map() };
  const look = (path: string): void => {
    const names = new Map<string, string>();
    const own = String(lstatSync(path).ino);
    listing.folders.set(own, path);
    listing.names.set(own, names);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      if (!entry.isFile() && !entry.isDirectory()) continue;
      const { ino, size } = lstatSync(inside);
      names.set(entry.name, String(ino));
      if (entry.isDirectory()) look(inside);
      else listing.files.set(String(ino), { path: inside, bytes: size });
    }
  };
  look(root);
  return listing;
}

/** Names that the notes promise and the disk has not, or the other way round. */
function differences(noted: ReadonlyMap<string, Map<string, string>>, { names, folders }: Listing) {
  return [...names].flatMap(([folder, there]) => {
    const promised = noted.get(folder) ?? new Map<string, string>();
    const path = (name: string): string => join(folders.get(folder) as string, name);
    const surplus = [...there].filter(([name, file]) => promised.get(name) !== file);
    const missing = [...promised.keys()].filter((name) => !there.has(name));
    return [
      ...surplus.map(([name]) => `${path(name)} is there`),
      ...missing.map((name) => `${path(name)} is not there`),
    ];
  });
}

function isThere(path: string, file: string): boolean {
  return String(lstatSync(path, { throwIfNoEntry: false })?.ino) === file;
}
