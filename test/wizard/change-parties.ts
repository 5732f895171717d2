/** What parties of test/wizard/parties.ts do with a mixnet that they have founded: propose, review, join. */
import type { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import type { LogEntry } from '../../src/mixnet/directory-texts.ts';
import { readFoundation, type Foundation } from '../../src/mixnet/verify-log.ts';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { OperatorFile } from '../../src/mixer/operator-file.ts';
import type { ChangeEvent, ChangeOutcome } from '../../src/wizard/change-events.ts';
import type { ChangeOptions } from '../../src/wizard/change-options.ts';
import { joinChange } from '../../src/wizard/change-join.ts';
import { reviewChange } from '../../src/wizard/change-review.ts';
import type { ChangeWish } from '../../src/wizard/change-wish.ts';
import { proposeChange } from '../../src/wizard/change.ts';
import { decideByOptions } from '../../src/wizard/decisions.ts';
import type { Mixnet, NodeWish } from '../../src/wizard/options.ts';
import { join } from 'node:path';
import type { TestParty } from './parties.ts';

/** One owner, or who is to be one. */
export interface Changer {
  readonly peerId: string;
  readonly events: ChangeEvent[];
  readonly state: MixnetStateFile;
  readonly operator: OperatorFile;
  readonly options: ChangeOptions;
  propose(wish: ChangeWish | null, more?: Partial<ChangeOptions>): Promise<ChangeOutcome>;
  review(negotiationId?: string, more?: Partial<ChangeOptions>): Promise<ChangeOutcome>;
  join(invitation: string, node: NodeWish, more?: Partial<ChangeOptions>): Promise<Mixnet>;
}

/** A party as one who changes a mixnet; domains count as proved where nothing else is said. */
export function changer(party: TestParty, signal?: AbortSignal): Changer {
  const events: ChangeEvent[] = [];
  const statePath = join(party.dataDir, 'mixnet.json');
  const options: ChangeOptions = {
    client: party.client,
    identity: party.identity,
    primitives: native,
    statePath,
    peerName: 'party',
    decisions: decideByOptions(),
    proveDomains: (claims) =>
      Promise.resolve(
        claims.map((claim) => ({
          ...claim,
          outcome: 'proved' as const,
          found: [],
          confirmed: false,
          own: claim.peerId === party.identity.peerId,
        })),
      ),
    pollMs: 20,
    progress: (event) => void events.push(event),
    ...(signal && { signal }),
  };
  return {
    peerId: party.identity.peerId,
    events,
    state: new MixnetStateFile(statePath),
    operator: new OperatorFile(statePath),
    options,
    propose: (wish, more = {}) => proposeChange({ ...options, ...more }, wish),
    review: (negotiationId, more = {}) => reviewChange({ ...options, ...more }, negotiationId),
    join: (invitation, node, more = {}) => joinChange({ ...options, ...more, invitation, node }),
  };
}

/** The first event of a kind, once there is one, and more than `after` events. */
export async function told<Kind extends ChangeEvent['event']>(
  by: Changer,
  kind: Kind,
  after = 0,
): Promise<Extract<ChangeEvent, { event: Kind }>> {
  for (;;) {
    const event = by.events.slice(after).find((one) => one.event === kind);
    if (event) return event as Extract<ChangeEvent, { event: Kind }>;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What anybody verifies of a mixnet at a controller, from its id. */
export async function foundationOf(
  client: ControllerClient,
  mixnetId: string,
): Promise<Foundation & { readonly head: LogEntry }> {
  const read = readFoundation(await client.getNodes(mixnetId), mixnetId, native);
  if (!read.ok) throw new Error(read.reason);
  return { ...read.foundation, head: [...read.foundation.log.values()].at(-1) as LogEntry };
}

/** Somebody who owns nothing. */
export function nobody(): Identity {
  return createIdentity(native);
}
