/** What the routes of messages and endpoints share: the boxes, and who waits at them. */
import type { EndpointCache } from '../endpoints/store.ts';
import type { Arrivals } from './arrivals.ts';
import type { BatchStore } from './batch-store.ts';
import type { MessageStore } from './store.ts';

/** All boxes of a controller. */
export interface Boxes {
  readonly messages: MessageStore;
  readonly batches: BatchStore;
  readonly endpoints: EndpointCache;
  readonly arrivals: Arrivals;
  /** Aborts when the controller closes: long polls end at once. */
  readonly closing: AbortSignal;
}
