/**
 * A whole nodes.json made on paper: owners with real keys sign founding, log and snapshot as they would
 * through a controller. Tests change one thing before or after the signing.
 */
import { acceptedText } from '../../src/api/contribution.ts';
import { consensusId, type ConsensusRecord } from '../../src/api/negotiation.ts';
import { combinedPeer, type Rule } from '../../src/api/peer.ts';
import { hashText, signText } from '../../src/api/signed.ts';
import { toBase64url, toHex } from '../../src/bytes.ts';
import { createIdentity, createMixKey, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  moreThanHalf,
  signEntry,
  type Entry,
  type LogEntry,
  type LogNode,
  type SignedEntry,
  type Snapshot,
} from '../../src/mixnet/directory-texts.ts';

export const NOW_MS = Date.parse('2026-03-01T12:00:00.000Z');
export const LIFETIME_MS = 86_400_000;

export const TRAFFIC = {
  delay_mean_ms: 2000,
  ticks_per_second: 0.5,
  loops_per_second: 0.5,
  mixes_per_route: 3,
  expiry_ms: 5 * 86_400_000,
} as const;

/** What a test may want otherwise; functions change a text before it is signed. */
export interface Wishes {
  readonly owners?: number;
  readonly rule?: Rule;
  readonly headerLen?: number;
  readonly number?: number;
  readonly previous?: string;
  readonly entry?: (entry: Entry) => Entry;
  readonly signed?: (entry: SignedEntry, index: number) => SignedEntry | null;
  readonly log?: (entry: LogEntry) => object;
  readonly snapshot?: (snapshot: Snapshot) => object;
  readonly snapshotSigners?: (owners: readonly Identity[]) => readonly Identity[];
  readonly foundingSigners?: (owners: readonly Identity[]) => readonly Identity[];
  readonly logSigners?: (owners: readonly Identity[]) => readonly Identity[];
}

export interface PaperMixnet {
  readonly mixnetId: string;
  readonly owners: readonly Identity[];
  readonly nodes: {
    readonly mixnet: string;
    readonly founding: ConsensusRecord;
    readonly log: readonly ConsensusRecord[];
    readonly snapshot: ConsensusRecord;
  };
}

/** Owners, sorted by peer id; the first is a gateway for `alpha.example`, the second for `beta.example`. */
export function createOwners(count: number): Identity[] {
  return Array.from({ length: count }, () => createIdentity(native)).toSorted((left, right) =>
    left.peerId < right.peerId ? -1 : 1,
  );
}

export function paperMixnet(
  wishes: Wishes = {},
  owners = createOwners(wishes.owners ?? 3),
): PaperMixnet {
  const founding = combinedPeer(native, {
    name: 'paper',
    backend: 'SPHINXMIX',
    params: { GROUP: 'X25519', HEADER_LEN: wishes.headerLen ?? 320, BODY_LEN: 2048 },
    owners: owners.map((owner) => owner.peerId),
    rule: wishes.rule ?? moreThanHalf(owners.length),
  });
  const mixnetId = founding.key_id;
  const create = { resource: 'peer', operation: 'create' };
  const change = { resource: 'peer', operation: 'partial_update' };
  const foundingRecord = agreeOnPaper(
    { data: founding, info: create },
    wishes.foundingSigners?.(owners) ?? owners,
  );
  const log: LogEntry = {
    previous: mixnetId,
    nodes: owners.map((owner, index) => logNode(owner, index)),
    traffic: TRAFFIC,
    snapshot_lifetime_ms: LIFETIME_MS,
    key_lifetime_ms: LIFETIME_MS,
  };
  const logRecord = agreeOnPaper(
    { data: { peer_id: mixnetId, log: wishes.log?.(log) ?? log }, info: change },
    wishes.logSigners?.(owners) ?? owners,
  );
  const snapshot: Snapshot = {
    number: wishes.number ?? 1,
    previous: wishes.previous ?? mixnetId,
    log_head: hashText(native, logRecord.text),
    entries: owners.flatMap((owner, index) => {
      const entry = paperEntry(owner, mixnetId, wishes.number ?? 1);
      const signed = signEntry(native, owner, wishes.entry?.(entry) ?? entry);
      const kept = wishes.signed ? wishes.signed(signed, index) : signed;
      return kept ? [kept] : [];
    }),
    traffic: TRAFFIC,
    valid_from: new Date(NOW_MS).toISOString(),
    valid_until: new Date(NOW_MS + LIFETIME_MS).toISOString(),
  };
  const snapshotRecord = agreeOnPaper(
    {
      data: { peer_id: mixnetId, snapshot: wishes.snapshot?.(snapshot) ?? snapshot },
      info: change,
    },
    wishes.snapshotSigners?.(owners) ?? owners,
  );
  return {
    mixnetId,
    owners,
    nodes: {
      mixnet: mixnetId,
      founding: foundingRecord,
      log: [logRecord],
      snapshot: snapshotRecord,
    },
  };
}

/** What a negotiation of these signers would leave. */
export function agreeOnPaper(
  body: { readonly data: unknown; readonly info: unknown },
  signers: readonly Identity[],
): ConsensusRecord {
  const id = toBase64url(native.random(32));
  const meta = {
    accept: true,
    signers: [],
    negotiation_id: id,
    round: 2,
    time: new Date(NOW_MS).toISOString(),
  };
  const text = acceptedText(
    native,
    { ...body, meta },
    signers.map((signer) => signer.peerId),
  );
  const record = {
    id,
    text,
    timestamp: new Date(NOW_MS).toISOString(),
    signings: signers
      .map((signer) => ({
        signer_key_id: signer.peerId,
        signature: signText(native, signer, text),
      }))
      .toSorted((left, right) => (left.signer_key_id < right.signer_key_id ? -1 : 1)),
  };
  return { ...record, status: 'DONE', consensus: consensusId(native, record) };
}

/** The consensus id made anew, as a controller that changed a record would. */
export function resealed(record: ConsensusRecord): ConsensusRecord {
  return { ...record, consensus: consensusId(native, record) };
}

function logNode(owner: Identity, index: number): LogNode {
  const domains = [['alpha.example'], ['beta.example', 'xn--bcher-kva.example']][index] ?? [];
  return {
    peer_id: owner.peerId,
    owner: owner.peerId,
    roles: domains.length > 0 ? ['gateway', 'mix'] : ['mix'],
    domains,
    weight: 1,
  };
}

function paperEntry(owner: Identity, mixnetId: string, number: number): Entry {
  return {
    mixnet: mixnetId,
    number,
    peer_id: owner.peerId,
    controller_url: 'http://127.0.0.1:8000/',
    paused: false,
    endpoints: [
      {
        endpoint_id: `mix_${owner.peerId.slice(0, 16)}`,
        public: toHex(createMixKey(native, native.group('X25519')).publicKey),
        opens: new Date(NOW_MS - 1000).toISOString(),
        closes: new Date(NOW_MS + 2 * LIFETIME_MS).toISOString(),
      },
    ],
  };
}
