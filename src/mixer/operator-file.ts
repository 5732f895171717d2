/**
 * What the operator of a running node wants of it: a pause, and the change of the mixnet that he has proposed.
 * The wizard alone writes this file and the node alone the state file beside it, and each reads the other's,
 * so that neither can undo what the other has just written. Holds invitation tokens, hence mode 0600.
 */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { rule } from '../api/peer.ts';
import { replaceDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import { readPrivateIfThere } from '../key-files.ts';
import { logNode } from '../mixnet/directory-texts.ts';

/** What is to be changed, whatever the log's head is when it comes to that; see src/wizard/change-wish.ts. */
export const changeWish = z.strictObject({
  /** Of our own node, or of the one that `node` names. */
  add_domains: z.array(z.string()).optional(),
  remove_domains: z.array(z.string()).optional(),
  weight: z.int().optional(),
  roles: z.array(z.enum(['mix', 'gateway'])).optional(),
  node: z.string().optional(),
  remove_nodes: z.array(z.string()).optional(),
  /** With all their nodes. */
  remove_owners: z.array(z.string()).optional(),
  /** How many new owners are invited. */
  invite: z.int().optional(),
  /** Values of `traffic`, `snapshot_lifetime_ms` and `key_lifetime_ms`, by their names. */
  set: z.record(z.string(), z.number()).optional(),
  rule: z.union([rule, z.literal('more-than-half')]).optional(),
});
export type ChangeWish = z.output<typeof changeWish>;

/** Where the change that this peer has proposed stands. */
const proposedChange = z.strictObject({
  wish: changeWish,
  /** Where new owners join, and with which tokens. */
  joining_negotiation_id: z.string().optional(),
  tokens: z.array(z.string()).optional(),
  /** Those of them without whom we went on. */
  withdrawn: z.array(z.string()).optional(),
  /** Who has joined, and as what, once all have. */
  guests: z.array(logNode).optional(),
  /** Where the owners agree on it; the node names it to the others. */
  negotiation_id: z.string().optional(),
  /** Hash of the log entry that the text in this negotiation follows. */
  on_log_head: z.string().optional(),
  /** Where the first snapshot after it is agreed on. */
  next_negotiation_id: z.string().optional(),
});
export type ProposedChange = z.output<typeof proposedChange>;

const operator = z.strictObject({
  version: z.literal(1),
  /** The node takes no new routes and still serves its domains. */
  paused: z.boolean().default(false),
  /** Numbers of which he has seen that owners signed two snapshots, and lets mail go on. */
  forgiven: z.array(z.int().min(1)).default([]),
  change: proposedChange.optional(),
  /** Texts about changes that we have signed, by negotiation: in each, no other is ever signed. */
  signed: z.record(z.string(), z.string()).default({}),
});
export type OperatorState = z.output<typeof operator>;

const NOTHING: OperatorState = { version: 1, paused: false, forgiven: [], signed: {} };

/** The operator's file of one node; missing, it says nothing. */
export class OperatorFile {
  readonly path: string;

  /** @param statePath of the state file: this one lies beside it */
  constructor(statePath: string) {
    this.path = join(dirname(statePath), `${basename(statePath, '.json')}-operator.json`);
  }

  /** @throws PanoramixError `config-invalid` where it cannot be read; it is never overwritten then */
  read(): OperatorState {
    const text = readPrivateIfThere(this.path);
    if (text === null) return NOTHING;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = null;
    }
    const parsed = operator.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new PanoramixError(
      'config-invalid',
      `${this.path} is not of this version; restore it, or move it away to forget what you proposed`,
    );
  }

  /** The negotiation of the change that he proposes on this head of the log: on another it is applied, or void. */
  changeOn(logHead: string): string | null {
    const { change } = this.read();
    return change?.on_log_head === logHead ? (change.negotiation_id ?? null) : null;
  }

  /** Changes some fields; `undefined` removes one. */
  update(change: {
    readonly [Field in keyof OperatorState]?: OperatorState[Field] | undefined;
  }): void {
    const next = { ...this.read(), ...change };
    replaceDurably(this.path, `${JSON.stringify(next, null, 2)}\n`);
  }

  /** Remembers a text as signed, before it is. */
  sign(negotiationId: string, text: string): void {
    this.update({ signed: { ...this.read().signed, [negotiationId]: text } });
  }
}
