/**
 * Two snapshots of one number, each signed by enough owners: proof that some have signed both (design §8). Both
 * are kept on disk, beside who they are, and mail waits until the owners' log goes on or the operator says
 * that it shall not: a file for each number.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { hex64, timestamp } from '../api/fields.ts';
import { consensusRecord, type ConsensusRecord } from '../api/negotiation.ts';
import { createDurably, readIfThere } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';

const NAME = /^equivocation-[0-9]+\.json$/;

const file = z.strictObject({
  version: z.literal(1),
  mixnet: hex64,
  number: z.int().min(1),
  /** Of the directory that was held: a later one in the log ends the matter. */
  log_head: hex64,
  seen: timestamp,
  signed_both: z.array(hex64),
  records: z.array(consensusRecord).length(2),
});

/** What was found, without the records. */
export interface Equivocation {
  readonly number: number;
  readonly logHead: string;
  readonly seenMs: number;
  /** Peer ids, sorted. */
  readonly signedBoth: readonly string[];
}

/** All that was ever found of a mixnet, by number. */
export function readEvidence(dataDir: string, mixnetId: string): Equivocation[] {
  return list(dataDir)
    .map((name) => read(join(dataDir, name)))
    .filter(({ mixnet }) => mixnet === mixnetId)
    .map((found) => ({
      number: found.number,
      logHead: found.log_head,
      seenMs: Date.parse(found.seen),
      signedBoth: found.signed_both,
    }))
    .toSorted((left, right) => left.number - right.number);
}

/**
 * Keeps two records, both verified, as evidence; the first two of a number say enough.
 * @returns null where there is evidence of this number already
 */
export function keepEvidence(
  dataDir: string,
  mixnetId: string,
  found: {
    readonly number: number;
    readonly logHead: string;
    readonly seenMs: number;
    readonly records: readonly [ConsensusRecord, ConsensusRecord];
  },
): Equivocation | null {
  const { number, logHead, seenMs, records } = found;
  const [first, second] = records.map((record) => new Set(signersOf(record)));
  const signedBoth = [...(first ?? [])].filter((key) => second?.has(key)).toSorted();
  const text: z.output<typeof file> = {
    version: 1,
    mixnet: mixnetId,
    number,
    log_head: logHead,
    seen: new Date(seenMs).toISOString(),
    signed_both: signedBoth,
    records: [...records],
  };
  const path = join(dataDir, `equivocation-${number}.json`);
  if (!createDurably(path, `${JSON.stringify(text, null, 2)}\n`)) return null;
  return { number, logHead, seenMs, signedBoth };
}

/**
 * The equivocations for which mail waits.
 * @param logHead of the directory held
 * @param forgiven numbers that the operator has looked at and lets pass
 */
export function openEvidence(
  all: readonly Equivocation[],
  logHead: string | null,
  forgiven: readonly number[],
): Equivocation[] {
  return all.filter((one) => one.logHead === logHead && !forgiven.includes(one.number));
}

function signersOf(record: ConsensusRecord): string[] {
  return record.signings.map(({ signer_key_id: key }) => key);
}

function list(dataDir: string): string[] {
  try {
    return readdirSync(dataDir).filter((name) => NAME.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function read(path: string): z.output<typeof file> {
  let json: unknown;
  try {
    json = JSON.parse(readIfThere(path) ?? '');
  } catch {
    json = null;
  }
  const parsed = file.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PanoramixError(
    'config-invalid',
    `${path} is damaged: it proves that owners signed two directories; restore it, or move it away to forget that`,
  );
}
