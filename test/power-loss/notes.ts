/**
 * What disk-notes.c has written down, read: which names and which bytes a power cut leaves. Nothing here
 * touches a disk.
 */

/** One event; folders and files go by their inode numbers. */
export type Note =
  | {
      readonly kind: 'create' | 'remove';
      readonly folder: string;
      readonly file: string;
      readonly name: string;
    }
  | {
      readonly kind: 'rename';
      readonly fromFolder: string;
      readonly from: string;
      /** Of the new name: whose sync makes the whole step durable. */
      readonly folder: string;
      readonly name: string;
      readonly file: string;
      /** What had the new name before; null where nothing had it. */
      readonly replaced: string | null;
    }
  | { readonly kind: 'syncing' | 'synced'; readonly folder: string; readonly token: string }
  | { readonly kind: 'sync'; readonly file: string; readonly bytes: number }
  | { readonly kind: 'former'; readonly file: string; readonly copy: string }
  | { readonly kind: 'unfollowed'; readonly what: string };

/** A step that changes names in a folder. */
export type Step = Extract<Note, { readonly kind: 'create' | 'remove' | 'rename' }>;

/** What is durable of a file. */
export interface DurableBytes {
  /** Of these bytes; null: as many as it had when the notes began, or all where it is older than they are. */
  readonly bytes: number | null;
  /** Name of the copy that was made before it was written to in place; null where it never was since its last sync. */
  readonly former: string | null;
}

/** Throws at a line that is none. */
export function parseNotes(text: string): Note[] {
  return text.split('\n').slice(0, -1).map(parseLine);
}

function parseLine(line: string): Note {
  const [kind = '', first = '', second = '', ...rest] = line.split(' ');
  switch (kind) {
    case 'create':
    case 'remove':
      return { kind, folder: first, file: second, name: rest.join(' ') };
    case 'rename': {
      const [file = '', replaced = '0', ...names] = rest;
      const [from = '', name = ''] = names.join(' ').split('/');
      const old = replaced === '0' ? null : replaced;
      return { kind, fromFolder: first, from, folder: second, name, file, replaced: old };
    }
    case 'syncing':
    case 'synced':
      return { kind, folder: first, token: second };
    case 'sync':
      return { kind, file: first, bytes: Number(second) };
    case 'former':
      return { kind, file: first, copy: second };
    case 'unfollowed':
      return { kind, what: [first, second, ...rest].join(' ') };
    default:
      throw new Error(`no note: ${line}`);
  }
}

/**
 * The steps that no sync of their folder has made durable, oldest first. A sync covers what was done before
 * it began.
 */
export function unsyncedSteps(notes: readonly Note[]): Step[] {
  const began = new Map<string, number>();
  const durableBefore = new Map<string, number>();
  for (const [at, note] of notes.entries()) {
    if (note.kind === 'syncing') began.set(note.token, at);
    if (note.kind !== 'synced') continue;
    const from = began.get(note.token) ?? 0;
    durableBefore.set(note.folder, Math.max(from, durableBefore.get(note.folder) ?? 0));
  }
  return notes.flatMap((note, at) =>
    isStep(note) && at >= (durableBefore.get(note.folder) ?? 0) ? [note] : [],
  );
}

/** By file: of each one that the notes mention. */
export function durableBytes(notes: readonly Note[]): Map<string, DurableBytes> {
  const files = new Map<string, DurableBytes>();
  for (const note of notes) {
    if (note.kind === 'sync') files.set(note.file, { bytes: note.bytes, former: null });
    const known = 'file' in note ? files.get(note.file) : undefined;
    if (note.kind === 'create' && !known) files.set(note.file, { bytes: 0, former: null });
    if (note.kind === 'former' && !known?.former) {
      files.set(note.file, { bytes: known?.bytes ?? null, former: note.copy });
    }
  }
  return files;
}

/** What the notes say happened to each name, applied to the names there were: folder, then name, then file. */
export function namesAfter(
  before: ReadonlyMap<string, ReadonlyMap<string, string>>,
  notes: readonly Note[],
): Map<string, Map<string, string>> {
  const folders = new Map([...before].map(([folder, names]) => [folder, new Map(names)]));
  const namesIn = (folder: string): Map<string, string> => {
    const names = folders.get(folder) ?? new Map<string, string>();
    folders.set(folder, names);
    return names;
  };
  for (const note of notes.filter(isStep)) {
    if (note.kind === 'remove') namesIn(note.folder).delete(note.name);
    else namesIn(note.folder).set(note.name, note.file);
    if (note.kind === 'rename') namesIn(note.fromFolder).delete(note.from);
  }
  return folders;
}

function isStep(note: Note): note is Step {
  return note.kind === 'create' || note.kind === 'remove' || note.kind === 'rename';
}
