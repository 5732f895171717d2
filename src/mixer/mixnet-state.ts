/**
 * What a peer must remember of its mixnet between two starts: which negotiations it takes part in, what
 * it has signed there, and what came of them. Written whole before anything is signed, so that a kill -9
 * at any point leads back to the same step. Holds invitation tokens, hence mode 0600.
 */
import { z } from 'zod';
import { destroyDurably, replaceDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import { readPrivateIfThere } from '../key-files.ts';
import { signedEntry } from '../mixnet/directory-texts.ts';

/** The step that `next_negotiation_id` is about, and the decisions that led to it. */
const batchState = z.strictObject({
  /** The gateway; with `create`, the one before it, or none. */
  endpoint_id: z.string().optional(),
  /** `stop`: no chain; each owner's endpoint goes through cycles of its own. */
  step: z.enum(['create', 'full', 'close', 'publish', 'open', 'stop']),
  last_consensus_id: z.string().optional(),
  /** Closings of this gateway so far: it does not open again for ever, and neither does its key. */
  closings: z.int().min(0),
  /** Which opened this cycle, and the one before: dummies are made for a cycle. */
  opened: z.array(z.string()).max(2),
  /** Which closed it. */
  closing_consensus_id: z.string().optional(),
});
export type BatchState = z.output<typeof batchState>;

const pendingChange = z.strictObject({
  negotiation_id: z.string(),
  /** Peer id of whose node named it. */
  proposer: z.string(),
  /** The log's head when it was named: on another one the change is void, or proposed anew. */
  log_head: z.string(),
});
export type PendingChange = z.output<typeof pendingChange>;

const state = z.strictObject({
  version: z.literal(1),
  /** The controller on which the owners meet. */
  catalog_url: z.string(),
  peer_id: z.string(),
  /** Peer id of who proposed the mixnet. */
  coordinator: z.string().optional(),
  /** Negotiation of the founding text. */
  founding_negotiation_id: z.string(),
  /** The coordinator's: one token for each invitation. */
  tokens: z.array(z.string()).optional(),
  /** Where the founding goes on without somebody who does not sign: opened, perhaps not yet told. */
  moving_to: z.string().optional(),
  /** Those of them without whom the coordinator went on. */
  withdrawn: z.array(z.string()).optional(),
  /** The contributor's own invitation. */
  invitation: z.string().optional(),
  /** Negotiation of the first log entry. */
  log_negotiation_id: z.string().optional(),
  mixnet_id: z.string().optional(),
  /** `<controller>/panoramix/peers/ID/` (D4.2 §5.2): what is given to users. */
  mixnet_url: z.string().optional(),
  /** Peer ids of the nodes in the log, or of a batch mixnet's owners: no strangers to a controller of theirs. */
  nodes: z.array(z.string()).optional(),
  /** Of those: who has left the log, and until when (ms since 1970) he is still known; see known-nodes.ts. */
  leaving: z.record(z.string(), z.number()).optional(),
  /** Where the next snapshot is negotiated; the owners alone know it. */
  next_negotiation_id: z.string().optional(),
  /** Opened by this peer, to be proposed as the one that follows. */
  proposed_negotiation_id: z.string().optional(),
  /** Where the next snapshot may be agreed on, each with its number; `next_negotiation_id` is one of them. */
  places: z
    .array(z.strictObject({ negotiation_id: z.string(), number: z.int().min(1) }))
    .optional(),
  /** The own entry as it was signed for one number: for it no other is ever signed. */
  offered: z.strictObject({ number: z.int().min(1), entry: signedEntry }).optional(),
  /** Highest number of which we have signed a snapshot: of none other than that one, in whatever negotiation. */
  signed_number: z.int().min(1).optional(),
  /** Of the last snapshot that we have seen agreed on, applied or not. */
  agreed_number: z.int().min(1).optional(),
  /** The change of which we have told the other nodes. */
  announced_change: z.string().optional(),
  /** Changes that other owners propose, as their nodes said in their last offers; noted by the node. */
  pending_changes: z.array(pendingChange).optional(),
  /** Of a batch mixnet: where the present cycle stands, as the owners have agreed. */
  batch: batchState.optional(),
  /** Where somebody stopped the wizards, this peer or another: nothing is signed here any more. */
  aborted: z
    .strictObject({
      negotiation_id: z.string(),
      by: z.string(),
      reason: z.string(),
      told_by: z.string().optional(),
    })
    .optional(),
  /** Texts signed for good, by negotiation: in each, no other is ever signed. */
  signed: z.record(z.string(), z.string()),
});

/** The state file, parsed. Complete, and its mixnet set up, once `next_negotiation_id` is there. */
export type MixnetState = z.output<typeof state>;

/** The state file of one peer. */
export class MixnetStateFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Null where there is none yet.
   * @throws PanoramixError `config-invalid` where it cannot be read; it is never overwritten then
   */
  read(): MixnetState | null {
    const text = readPrivateIfThere(this.path);
    if (text === null) return null;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = null;
    }
    const parsed = state.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new PanoramixError(
      'config-invalid',
      `${this.path} is no state file of this version; restore it, or move it away to start anew`,
    );
  }

  /** Writes a whole new state. */
  write(next: MixnetState): MixnetState {
    replaceDurably(this.path, `${JSON.stringify(next, null, 2)}\n`);
    return next;
  }

  /** Changes some fields of what is there. */
  update(change: Partial<MixnetState>): MixnetState {
    const before = this.read();
    if (!before) throw new PanoramixError('config-invalid', `${this.path} is missing`);
    return this.write({ ...before, ...change });
  }

  /** Takes the file away, where what it led to is closed to us. */
  forget(): void {
    destroyDurably(this.path);
  }

  /** Remembers a text as signed, before it is. */
  sign(negotiationId: string, text: string): void {
    const before = this.read();
    this.update({ signed: { ...before?.signed, [negotiationId]: text } });
  }
}
