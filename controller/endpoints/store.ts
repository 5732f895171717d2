/** Endpoints in Redis: one document each and an index; and the cache that posting goes by. */
import type { Change, Document, Documents } from '../documents.ts';
import { readInTurn } from '../lists.ts';
import { DONE_MS_MAX } from '../negotiations/rules.ts';
import { recordKept } from '../negotiations/store.ts';
import type { Endpoint } from './rules.ts';

/** Endpoints in one answer of `GET /endpoints`: the newest. */
export const LIST_MAX = 1000;
/** Endpoints of one peer that are not processed: the open one, the next one, and some that drain. */
export const UNPROCESSED_MAX = 16;
const CACHED_MAX = 1024;
/** Far below the time after which the id of a processed endpoint may become somebody else's. */
const CACHED_MS_MAX = 60_000;

/** An endpoint by its id. */
export async function readEndpoint(
  documents: Documents,
  endpointId: string,
): Promise<Document<Endpoint>> {
  return await documents.read(documents.key('endpoint', endpointId));
}

/**
 * Endpoints: processed ones first, the others by id; where there are too many, the oldest are left out.
 * Of one peer in one status before PROCESSED: all of them, however many others there are.
 */
export async function* readEndpoints(
  documents: Documents,
  peerId?: string,
  status?: string,
): AsyncGenerator<Endpoint> {
  if (peerId !== undefined && status !== undefined && status !== 'PROCESSED') {
    const own = await documents.members(documents.key('endpoints-of', peerId), LIST_MAX, 'lowest');
    yield* readInTurn<Endpoint>(
      documents,
      own.map((id) => documents.key('endpoint', id)),
    );
    return;
  }
  const ids = await documents.members(documents.key('endpoints'), LIST_MAX, 'highest');
  yield* readInTurn<Endpoint>(
    documents,
    ids.toReversed().map((id) => documents.key('endpoint', id)),
  );
}

/** Name under which an endpoint keeps the records of its log. */
export function keeperOf(endpointId: string): string {
  return `endpoint:${endpointId}`;
}

/**
 * Keeps the records of an endpoint's whole log, or lets go of them: who checks an endpoint needs them
 * all, however long it stays open.
 */
function logKept(
  documents: Documents,
  { logs, negotiations, data }: Endpoint,
  ttlMs: number | null,
) {
  return logs.map(({ consensus_id: consensus }, position) => {
    const record = { id: negotiations[position] ?? '', consensus };
    return recordKept(documents, record, keeperOf(data.endpoint_id), ttlMs);
  });
}

/** What writes a new endpoint, or a processed one that opens again; `limit` where its peer has too many. */
export function openChange(
  documents: Documents,
  before: Document<Endpoint>,
  after: Endpoint,
  nowMs: number,
): Change {
  const { endpoint_id, peer_id } = after.data;
  const ofPeer = documents.key('endpoints-of', peer_id);
  return {
    expect: [before],
    limits: [{ key: ofPeer, max: UNPROCESSED_MAX, nowMs: 0 }],
    // Scores are the times at which documents expire.
    prune: [{ key: documents.key('endpoints'), nowMs }],
    put: [{ key: before.key, value: after, ttlMs: null }],
    index: [
      { key: ofPeer, score: nowMs, member: endpoint_id },
      { key: documents.key('endpoints'), score: Infinity, member: endpoint_id },
    ],
    keeps: logKept(documents, after, null),
  };
}

/** What writes an endpoint's new status; the last one lets its document expire. */
export function statusChange(
  documents: Documents,
  before: Document<Endpoint>,
  after: Endpoint,
  nowMs: number,
): Change {
  const { endpoint_id, peer_id } = after.data;
  // A batch's next cycle.
  if (after.status === 'OPEN' && before.value?.status === 'PROCESSED') {
    return openChange(documents, before, after, nowMs);
  }
  if (after.status !== 'PROCESSED') {
    return { expect: [before], put: [{ key: before.key, value: after, ttlMs: null }] };
  }
  return {
    expect: [before],
    put: [{ key: before.key, value: after, ttlMs: DONE_MS_MAX }],
    index: [{ key: documents.key('endpoints'), score: nowMs + DONE_MS_MAX, member: endpoint_id }],
    unindex: [{ key: documents.key('endpoints-of', peer_id), member: endpoint_id }],
    keeps: logKept(documents, after, DONE_MS_MAX),
  };
}

/**
 * Endpoints as last read. Whoever acts on one names its version to Redis in the same atomic step, so a
 * stale one costs a second reading and nothing else.
 */
export class EndpointCache {
  readonly #documents: Documents;
  readonly #now: () => number;
  readonly #cached = new Map<
    string,
    { readonly found: Document<Endpoint>; readonly untilMs: number }
  >();

  /** @param now a clock that never goes back, ms */
  constructor(documents: Documents, now: () => number) {
    this.#documents = documents;
    this.#now = now;
  }

  /** @param fresh whether what was last read has turned out to be stale */
  async read(endpointId: string, fresh = false): Promise<Document<Endpoint>> {
    const known = this.#cached.get(endpointId);
    if (known !== undefined && !fresh && this.#now() < known.untilMs) return known.found;
    this.#cached.delete(endpointId);
    const found = await readEndpoint(this.#documents, endpointId);
    if (found.value !== null) {
      const [oldest] = this.#cached.keys();
      if (this.#cached.size >= CACHED_MAX && oldest !== undefined) this.#cached.delete(oldest);
      this.#cached.set(endpointId, { found, untilMs: this.#now() + CACHED_MS_MAX });
    }
    return found;
  }
}
