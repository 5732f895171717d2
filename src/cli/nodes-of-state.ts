/**
 * Who the nodes are, for a controller: what the wizard of the node beside it has noted of the owners' log. Read
 * again when it changes; what cannot be read is said, and what is known holds meanwhile.
 */
import { statSync } from 'node:fs';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';

/** The state file is looked at this often at most. */
const LOOK_MS = 1_000;

/** The mixnet and its nodes that the owners' log names, as the wizard noted them. */
export class NodesOfStateFile {
  readonly #file: MixnetStateFile;
  #peerIds: ReadonlySet<string> = new Set();
  #mixnetId: string | null = null;
  readonly #log: Log;
  readonly #steadyMs: () => number;
  #lookedMs = -Infinity;
  #changedMs = 0;
  #hasWarned = false;
  /** Of the file, as long as it cannot be read. */
  #said = '';

  /** @param steadyMs ms, of any origin, by a clock that nobody sets: after one that was set back it would never look */
  constructor(path: string, log: Log, steadyMs: () => number = () => performance.now()) {
    this.#file = new MixnetStateFile(path);
    this.#log = log;
    this.#steadyMs = steadyMs;
  }

  has(peerId: string): boolean {
    // Who has left the mixnet is no node any more, so what is known is looked at again, too.
    this.#look();
    return this.#peerIds.has(peerId);
  }

  isMixnet(mixnetId: string): boolean {
    this.#look();
    return this.#mixnetId === mixnetId;
  }

  #look(): void {
    if (this.#steadyMs() - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = this.#steadyMs();
    const changedMs = statSync(this.#file.path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (changedMs === 0) this.#warnOnce();
    if (changedMs === this.#changedMs) return;
    const state = this.#readOrSay();
    if (state === 'unreadable') return;
    this.#changedMs = changedMs;
    this.#peerIds = new Set(state?.nodes);
    this.#mixnetId = state?.mixnet_id ?? null;
  }

  /** What cannot be read now is looked at again; meanwhile what is known holds. */
  #readOrSay(): MixnetState | null | 'unreadable' {
    try {
      const state = this.#file.read();
      this.#said = '';
      return state;
    } catch (thrown) {
      const { code, message } = asPanoramixError(thrown);
      if (this.#said !== message) this.#log.error({ reason: code }, message);
      this.#said = message;
      return 'unreadable';
    }
  }

  /** Who posts here and is refused for it sees his own log alone. */
  #warnOnce(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#log.warn(
      { file: this.#file.path },
      `No nodes are known yet, whoever posts is a stranger: ${this.#file.path} is not there (controller.mixnet_file, as your node's wizard writes it)`,
    );
  }
}
