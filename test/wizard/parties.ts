/**
 * Parties that found a mixnet on a real controller: each with its own key, data directory and client,
 * knowing the controller's URL and, when invited, the invitation.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { foundMixnet } from '../../src/wizard/found.ts';
import { joinMixnet } from '../../src/wizard/join.ts';
import type {
  FoundOptions,
  JoinOptions,
  Mixnet,
  NodeWish,
  WizardEvent,
} from '../../src/wizard/options.ts';

export const LIFETIME_MS = 30 * 86_400_000;

/** Two gateways and three mixes, in the order in which `foundWithAll` starts them. */
export const FIVE_NODES: readonly NodeWish[] = [
  { roles: ['mix'], domains: [] },
  { roles: ['gateway'], domains: ['alpha.example'] },
  { roles: ['gateway'], domains: ['beta.example', 'BETA-too.example'] },
  { roles: ['mix'], domains: [] },
  { roles: ['mix'], domains: [] },
];

const DOMAINS = FIVE_NODES.flatMap((node) => node.domains);

/** One party. */
export interface TestParty {
  readonly identity: Identity;
  readonly dataDir: string;
  readonly client: ControllerClient;
  readonly events: WizardEvent[];
  readonly found: (more: Partial<FoundOptions>) => Promise<Mixnet>;
  readonly join: (invitation: string, more?: Partial<JoinOptions>) => Promise<Mixnet>;
}

/** A party whose data directory disappears with the test. */
export function createParty(t: ExecutionContext, url: string, node: NodeWish): TestParty {
  const identity = createIdentity(native);
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  const ending = new AbortController();
  t.teardown(() => {
    ending.abort();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const client = new ControllerClient({ url, identity, primitives: native });
  const events: WizardEvent[] = [];
  const options = {
    client,
    identity,
    primitives: native,
    statePath: join(dataDir, 'mixnet.json'),
    peerName: 'party',
    node,
    pollMs: 20,
    // Nobody answers there: what is not confirmed is proved by nothing.
    domains: { servers: ['127.0.0.1:9'], confirmed: DOMAINS },
    signal: ending.signal,
    progress: (event: WizardEvent): void => void events.push(event),
  };
  return {
    identity,
    dataDir,
    client,
    events,
    found: (more) =>
      foundMixnet({
        ...options,
        mixnetName: 'our_mix-net',
        params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 2048 },
        invitations: 0,
        traffic: {
          delay_mean_ms: 200,
          ticks_per_second: 2,
          loops_per_second: 0.5,
          mixes_per_route: 3,
          expiry_ms: 86_400_000,
        },
        snapshotLifetimeMs: LIFETIME_MS,
        keyLifetimeMs: LIFETIME_MS,
        ...more,
      }),
    join: (invitation, more = {}) => joinMixnet({ ...options, invitation, ...more }),
  };
}

/** The invitations that a coordinator has been told, once he has. */
export function invitationsOf(coordinator: TestParty): Promise<readonly string[]> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const told = coordinator.events.find((event) => event.event === 'invitations');
      if (told?.event !== 'invitations') return;
      clearInterval(timer);
      resolve(told.invitations);
    }, 5);
  });
}

/** Founds with as many parties as wishes; the first coordinates. */
export async function foundWithAll(
  t: ExecutionContext,
  url: string,
  wishes: readonly NodeWish[] = FIVE_NODES,
  more: Partial<FoundOptions> = {},
): Promise<{ readonly parties: readonly TestParty[]; readonly mixnets: readonly Mixnet[] }> {
  const parties = wishes.map((wish) => createParty(t, url, wish));
  const [coordinator, ...others] = parties as [TestParty, ...TestParty[]];
  const founding = coordinator.found({ invitations: others.length, ...more });
  const invitations = await invitationsOf(coordinator);
  const joining = others.map((party, index) => party.join(invitations[index] as string));
  return { parties, mixnets: await Promise.all([founding, ...joining]) };
}
