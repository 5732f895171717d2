/**
 * The stops of a mixnet as anybody finds them from its id alone: the owners stand in the founding text,
 * each has signed its own stops, and all of that is checked.
 */
import { canonicalText } from '../api/canonical.ts';
import { BATCH } from '../api/endpoint.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { readStop, stopDescription, type Stop } from '../mixnet/batch-stops.ts';
import { parseMixnet, sphinxParamsOf } from '../mixnet/directory-texts.ts';
import type { SphinxParams } from '../sphinx/index.ts';
import { CarefulClient } from './careful.ts';
import type { ControllerClient } from './controller.ts';
import type { VerifiedEndpoint } from './verify-endpoint.ts';

/** A stop, and where its present cycle stands. */
export interface FoundStop extends Stop {
  readonly endpoint: VerifiedEndpoint;
}

/** A mixnet of stops. */
export interface StopMixnet {
  readonly mixnetId: string;
  readonly owners: readonly string[];
  readonly sphinxParams: SphinxParams;
  /** The older of an owner before the newer. */
  readonly stops: readonly FoundStop[];
}

/** Reads of several peers, which remember what they have verified. */
export type Readers = Map<string, CarefulClient>;

/**
 * Reads the mixnet and the stops of its owners.
 * @param readers kept by the caller from one look to the next
 * @param of these owners alone; default all
 * @throws PanoramixError `controller-lies`, `mixnet-unverified`
 */
export async function readStops(
  client: ControllerClient,
  primitives: Primitives,
  mixnetId: string,
  readers: Readers,
  of?: readonly string[],
): Promise<StopMixnet> {
  const readerOf = (peerId: string): CarefulClient => {
    const reader = readers.get(peerId) ?? new CarefulClient(client, primitives, peerId);
    readers.set(peerId, reader);
    return reader;
  };
  const { terms, owners } = await readerOf(mixnetId).peer();
  const founding = terms && parseMixnet(canonicalText(terms));
  if (!founding) throw new PanoramixError('mixnet-unverified', 'what was founded is no mixnet');
  const sphinxParams = sphinxParamsOf(founding.params);
  const group = primitives.group(sphinxParams.group);
  const stops: FoundStop[] = [];
  for (const owner of owners) {
    if (of && !of.includes(owner)) continue;
    const listed = await client.listEndpoints({ peer_id: owner });
    const own = listed
      .filter((one) => one.endpoint_type === BATCH && one.description === stopDescription(mixnetId))
      .toSorted((left, right) => numberOf(left.endpoint_id) - numberOf(right.endpoint_id));
    for (const { endpoint_id: endpointId } of own) {
      const endpoint = await readerOf(owner).endpoint(endpointId);
      const stop = readStop(mixnetId, sphinxParams.group, endpoint.fields);
      if (stop && group.accepts(stop.publicKey)) stops.push({ ...stop, endpoint });
    }
  }
  return { mixnetId, owners, sphinxParams, stops };
}

function numberOf(endpointId: string): number {
  return Number(/_(\d+)$/.exec(endpointId)?.[1] ?? 0);
}
