/**
 * One cycle of a chain as one owner goes through it: what it knows of the gateway, its own link, and the
 * dummies that it would recognise. The steps (closing.ts, publishing.ts) work with it.
 */
import { decodeBatchParams, type BatchLink } from '../../api/batch-params.ts';
import type { EndpointFields } from '../../api/endpoint.ts';
import type { CarefulClient } from '../../client/careful.ts';
import { PanoramixError } from '../../errors.ts';
import { markDummy, type DummyMark, type DummySeries } from '../../mixnet/batch-dummy.ts';
import { parseMixnet, sphinxParamsOf } from '../../mixnet/directory-texts.ts';
import { canonicalText } from '../../api/canonical.ts';
import { createSphinx, type Sphinx } from '../../sphinx/index.ts';
import type { BatchState } from '../mixnet-state.ts';
import { readOrCreateBatchKeys } from './batch-keys.ts';
import { carefulOf, type BatchView } from './batch-view.ts';
import type { OwnLink } from './own-link.ts';

/** A gateway, its chain and our place in it. */
export interface Cycle {
  readonly mixnetId: string;
  readonly gatewayId: string;
  /** As all owners have signed it. */
  readonly terms: EndpointFields;
  readonly waitMs: number | null;
  readonly links: readonly BatchLink[];
  readonly own: OwnLink;
  /** Our place among the links. */
  readonly place: number;
  readonly sphinx: Sphinx;
  /** Reads the gateway, checked. */
  readonly gateway: CarefulClient;
  readonly state: BatchState;
}

/**
 * Reads the gateway of a mixnet and finds our link in it.
 * @throws PanoramixError `mixnet-unverified` where what was signed is not a chain with our key in it
 */
export async function readCycle(
  view: BatchView,
  mixnetId: string,
  state: BatchState,
): Promise<Cycle> {
  const gateway = carefulOf(view, mixnetId);
  const { terms: founding } = await gateway.peer();
  const mixnet = founding && parseMixnet(canonicalText(founding));
  const gatewayId = state.endpoint_id ?? '';
  const { fields } = await gateway.endpoint(gatewayId);
  const params = decodeBatchParams(fields.endpoint_params);
  if (!mixnet || params?.kind !== 'gateway') {
    throw new PanoramixError('mixnet-unverified', `${gatewayId} is no gateway of a chain`);
  }
  const place = params.links.findIndex((link) => link.peerId === view.identity.peerId);
  const link = params.links[place];
  if (!link) throw new PanoramixError('mixnet-unverified', `${gatewayId} has no link of ours`);
  const keys = readOrCreateBatchKeys(view.dataDir, view.primitives, link.endpointId, params.group);
  if (!keys.mixKey.publicKey.every((byte, index) => byte === link.publicKey[index])) {
    throw new PanoramixError('config-invalid', `the keys of ${link.endpointId} are lost`);
  }
  const sphinx = createSphinx(sphinxParamsOf(mixnet.params), view.primitives);
  const next = params.links[place + 1] ?? null;
  return {
    mixnetId,
    gatewayId,
    terms: fields,
    waitMs: params.waitMs,
    links: params.links,
    own: { link, next, keys, sphinx, sizeMax: fields.size_max },
    place,
    sphinx,
    gateway,
    state,
  };
}

/** Our dummies that may be in the present cycle: those made for it, and for the one before. */
export function ownDummies(view: BatchView, cycle: Cycle): ReadonlyMap<string, DummyMark> {
  // Without a longest wait nobody adds any. With one, an owner never adds more than the minimum.
  const count = cycle.waitMs === null ? 0 : cycle.terms.size_min;
  const marks = cycle.state.opened.flatMap((opened) =>
    Array.from({ length: count }, (_, number) => markDummy(seriesOf(view, cycle, opened), number)),
  );
  return new Map(marks.map((mark) => [mark.sender.peerId, mark]));
}

/** Our dummies for a cycle, by the consensus that opened it. */
export function seriesOf(view: BatchView, cycle: Cycle, opened: string): DummySeries {
  return {
    primitives: view.primitives,
    orderKey: cycle.own.keys.orderKey,
    endpointId: cycle.gatewayId,
    opened,
  };
}
