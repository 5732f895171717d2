/**
 * A directory that nobody has signed, for mixnets that exist only here: so many providers with a gateway
 * each, so many mixes of other owners. Routes, exits and rates are then drawn from it as from a real one.
 */
import type { Directory, DirectoryNode, Traffic } from '../mixnet/directory.ts';
import type { SphinxParams } from '../sphinx/index.ts';

/** Who takes part. */
export interface Members {
  /** Providers, each with one gateway. */
  readonly providers: number;
  /** Mixes, each of an owner of its own who is no provider. */
  readonly mixes: number;
  /** Whether each provider's node relays for others too. */
  readonly providersMix?: boolean;
  /** Weight of each gateway when a tick draws an exit; 1 where none is given. */
  readonly weights?: readonly number[];
}

/** The packets of a mail mixnet as the wizard founds it. */
export const MAIL_PARAMS: SphinxParams = { group: 'X25519', headerLen: 320, bodyLen: 32_768 };

/** Peer id of the n-th gateway, from 1; a word instead of 64 hex digits, for people read it. */
export function gatewayName(number: number): string {
  return `gateway-${number}`;
}

/** Peer id of the n-th mix, from 1. */
export function mixName(number: number): string {
  return `mix-${number}`;
}

/** A directory of these members, valid for ever. */
export function madeDirectory(
  members: Members,
  traffic: Traffic,
  params: SphinxParams = MAIL_PARAMS,
): Directory {
  const { providers, mixes, providersMix = false, weights = [] } = members;
  const gatewayRoles = providersMix ? (['mix', 'gateway'] as const) : (['gateway'] as const);
  const gateways = Array.from({ length: providers }, (_, i) =>
    madeNode(gatewayName(i + 1), gatewayRoles, weights[i] ?? 1),
  );
  const relays = Array.from({ length: mixes }, (_, i) => madeNode(mixName(i + 1), ['mix'], 0));
  const nodes = [...gateways, ...relays];
  return {
    mixnetId: 'simulated',
    name: 'simulated',
    params,
    owners: nodes.map(({ owner }) => owner),
    rule: 'all',
    number: 1,
    snapshotHash: '',
    previousHash: '',
    validFromMs: 0,
    validUntilMs: Infinity,
    snapshotLifetimeMs: Infinity,
    keyLifetimeMs: Infinity,
    traffic,
    nodes,
    logHead: '',
  };
}

function madeNode(peerId: string, roles: DirectoryNode['roles'], weight: number): DirectoryNode {
  return {
    peerId,
    owner: peerId,
    roles,
    domains: roles.includes('gateway') ? [`${peerId}.example`] : [],
    weight,
    paused: false,
    controllerUrl: `https://${peerId}.example/`,
    // Nothing is encrypted, so nobody needs a key or an address.
    endpoints: [
      {
        endpointId: peerId,
        publicKey: new Uint8Array(0),
        address: new Uint8Array(0),
        opensMs: 0,
        closesMs: Infinity,
      },
    ],
  };
}
