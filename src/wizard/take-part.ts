/**
 * A configuration file as the wizards' options: creates or joins the mixnet that its section `mixnet:`
 * describes, whoever decides. Run again after anything, it goes on where it was.
 */
import { requireUrlForOthers } from '../api/controller-url.ts';
import { ControllerClient } from '../client/controller.ts';
import { section, type Config } from '../config.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { readOrCreateIdentity } from '../key-files.ts';
import { silentLog } from '../log.ts';
import { gatewayIdOf } from '../mixer/batch/creation.ts';
import { trustAuthorities } from '../tls-files.ts';
import { foundBatch, joinAny, type BatchMixnetFound, type BatchProposal } from './batch.ts';
import { foundMixnet, foundPeer } from './found.ts';
import type { FoundPeerOptions, Mixnet, PeerOptions } from './options.ts';

const POLL_MS = 500;
const MAIL_PARAMS = { HEADER_LEN: 320, BODY_LEN: 32_768 } as const;
/** D4.2 §5.1. */
const BATCH_PARAMS = { HEADER_LEN: 192, BODY_LEN: 1024 } as const;

/** What else a run is told. */
export interface TakingPart extends Pick<PeerOptions, 'decisions' | 'progress' | 'signal'> {
  readonly primitives: Primitives;
  /** A contributor's; else `mixnet.invitation`. */
  readonly invitation?: string | null;
  /**
   * The coordinator's of a batch mixnet, where the configuration says nothing of its endpoint yet: asked
   * once the owners are there (D4.2 §5.2), it gives the configuration with the endpoint.
   */
  readonly askEndpoint?: () => Promise<Config>;
}

/**
 * Creates or joins.
 * @throws PanoramixError `config-invalid` before anything is sent, and what `foundMixnet` and `joinAny` throw
 */
export async function takePart(
  config: Config,
  taking: TakingPart,
): Promise<Mixnet | BatchMixnetFound> {
  const wish = section(config, 'mixnet');
  trustAuthorities(config.tls_ca);
  const options = peerOptions(config, taking);
  const node = nodeWish(wish);
  if (node) requireUrlForOthers(section(config, 'node').controller_url, wish.catalog_url);
  if (wish.action === 'create') {
    const isBatch = wish.endpoint !== undefined || taking.askEndpoint !== undefined;
    return isBatch ? await createBatch(config, taking, options) : await createMail(config, options);
  }
  const invitation = taking.invitation ?? wish.invitation;
  if (!invitation) {
    throw new PanoramixError(
      'config-invalid',
      'to join, give PANORAMIX_INVITATION, mixnet.invitation or --invitation',
    );
  }
  return await joinAny({ ...options, invitation, ...(node && { node }) });
}

type Wish = NonNullable<Config['mixnet']>;
type Common = ReturnType<typeof peerOptions>;

function peerOptions(config: Config, taking: TakingPart) {
  const { primitives, decisions, progress, signal } = taking;
  const identity = readOrCreateIdentity(config.data_dir, primitives);
  const wish = section(config, 'mixnet');
  const { catalog_url: url } = wish;
  return {
    client: new ControllerClient({ url, identity, primitives }),
    identity,
    primitives,
    statePath: section(config, 'node').mixnet_file,
    peerName: config.name,
    pollMs: POLL_MS,
    dataDir: config.data_dir,
    // What a party refuses is thrown, and said by who runs it.
    log: silentLog,
    domains: {
      servers: wish.dns_servers.map(({ host, port }) =>
        host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      ),
      confirmed: wish.confirmed_domains,
    },
    ...(decisions && { decisions }),
    ...(progress && { progress }),
    ...(signal && { signal }),
  };
}

async function createMail(config: Config, options: Common): Promise<Mixnet> {
  const wish = section(config, 'mixnet');
  const node = nodeWish(wish);
  if (!node) {
    throw new PanoramixError('config-invalid', 'mixnet.roles or mixnet.endpoint is missing');
  }
  // Mail needs X25519: its links would be ten times slower in P-224.
  if (wish.group !== 'X25519') {
    throw new PanoramixError('config-invalid', 'mixnet.group: mail needs X25519');
  }
  return await foundMixnet({
    ...proposalOf(wish, options, MAIL_PARAMS),
    node,
    traffic: wish.traffic,
    snapshotLifetimeMs: wish.snapshot_lifetime_ms,
    keyLifetimeMs: wish.key_lifetime_ms,
  });
}

async function createBatch(
  config: Config,
  { askEndpoint }: TakingPart,
  options: Common,
): Promise<BatchMixnetFound> {
  const proposal = { ...proposalOf(section(config, 'mixnet'), options, BATCH_PARAMS), ...options };
  if (askEndpoint) {
    // Every step of an endpoint needs all owners, as `foundBatch` has it.
    await foundPeer({ ...proposal, rule: 'all' });
    return await foundBatch({
      ...proposal,
      ...endpointOf(section(await askEndpoint(), 'mixnet')),
    });
  }
  return await foundBatch({ ...proposal, ...endpointOf(section(config, 'mixnet')) });
}

function proposalOf(
  wish: Wish,
  options: Common,
  defaults: { readonly HEADER_LEN: number; readonly BODY_LEN: number },
): FoundPeerOptions {
  return {
    ...options,
    mixnetName: wish.name,
    params: {
      GROUP: wish.group,
      HEADER_LEN: wish.header_len ?? defaults.HEADER_LEN,
      BODY_LEN: wish.body_len ?? defaults.BODY_LEN,
    },
    invitations: wish.invitations,
  };
}

function endpointOf({ endpoint }: Wish): BatchProposal {
  if (!endpoint) throw new PanoramixError('config-invalid', 'mixnet.endpoint is missing');
  const { name, size_min: sizeMin, size_max: sizeMax, public: isPublic } = endpoint;
  if (endpoint.type === 'SPHINXMIX') {
    if (endpoint.wait_ms !== undefined) {
      throw new PanoramixError('config-invalid', 'endpoint.wait_ms: SPHINXMIX has no dummies');
    }
    return { stops: { name, sizeMin, sizeMax, public: isPublic } };
  }
  return {
    gateway: {
      endpointId: gatewayIdOf(name, 1),
      description: endpoint.description,
      sizeMin,
      sizeMax,
      waitMs: endpoint.wait_ms ?? null,
      public: isPublic,
    },
  };
}

function nodeWish({ roles, domains, weight }: Wish) {
  return roles && { roles, domains, weight };
}
