/**
 * `panoramix wizard --yes`: creates or joins a mixnet as the configuration file says, without questions.
 * Killed at any step and started again it goes on where it was.
 */
import { Command } from 'commander';
import { ControllerClient } from '../client/controller.ts';
import { readConfig, section, type Config } from '../config.ts';
import { native } from '../crypto/native.ts';
import { PanoramixError } from '../errors.ts';
import { readOrCreateIdentity } from '../key-files.ts';
import { silentLog } from '../log.ts';
import { gatewayIdOf } from '../mixer/batch/creation.ts';
import { Terminal } from '../terminal.ts';
import { foundMixnet } from '../wizard/found.ts';
import { foundBatch, joinAny, type BatchMixnetFound } from '../wizard/batch.ts';
import type { Mixnet, WizardEvent } from '../wizard/options.ts';
import { EXIT, runVerb } from './program.ts';

const POLL_MS = 500;
const MAIL_PARAMS = { HEADER_LEN: 320, BODY_LEN: 32_768 } as const;
/** D4.2 §5.1. */
const BATCH_PARAMS = { HEADER_LEN: 192, BODY_LEN: 1024 } as const;

interface WizardFlags {
  readonly config?: string;
  readonly yes?: true;
  readonly json?: true;
  readonly invitation?: string;
}

/** The verb, for main.ts. */
export function wizardCommand(): Command {
  return new Command('wizard')
    .description('creates or joins a mixnet, as the section "mixnet:" of the configuration says')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .option('--yes', 'accept what the others propose, within what the configuration says')
    .option(
      '--invitation <text>',
      'NEGOTIATION|TOKEN, to join; others on this host may see it: better PANORAMIX_INVITATION',
    )
    .option('--json', 'one JSON object for each step')
    .action((flags: WizardFlags) => runVerb(() => runWizard(flags)));
}

async function runWizard(flags: WizardFlags): Promise<number> {
  if (!flags.yes) {
    throw new PanoramixError(
      'config-invalid',
      'there is no dialogue yet: look at the configuration file, then call it with --yes',
    );
  }
  const config = readConfig(flags.config);
  const terminal = new Terminal();
  const say = (event: object, text: string): void => {
    if (flags.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    else terminal.line(text);
  };
  const mixnet = await takePart(config, flags.invitation, (event) => say(event, describe(event)));
  say({ event: 'done', ...mixnet }, `The mix-net URL for users: ${mixnet.mixnetUrl}`);
  return EXIT.done;
}

async function takePart(
  config: Config,
  given: string | undefined,
  progress: (event: WizardEvent) => void,
): Promise<Mixnet | BatchMixnetFound> {
  const wish = section(config, 'mixnet');
  const identity = readOrCreateIdentity(config.data_dir, native);
  const node = wish.roles && { roles: wish.roles, domains: wish.domains };
  const options = {
    client: new ControllerClient({ url: wish.catalog_url, identity, primitives: native }),
    identity,
    primitives: native,
    statePath: section(config, 'node').mixnet_file,
    peerName: config.name,
    progress,
    pollMs: POLL_MS,
    dataDir: config.data_dir,
    // What a party refuses is thrown, and said by the terminal.
    log: silentLog,
  };
  const { endpoint } = wish;
  const defaults = endpoint ? BATCH_PARAMS : MAIL_PARAMS;
  const proposal = {
    ...options,
    mixnetName: wish.name,
    params: {
      GROUP: wish.group,
      HEADER_LEN: wish.header_len ?? defaults.HEADER_LEN,
      BODY_LEN: wish.body_len ?? defaults.BODY_LEN,
    },
    invitations: wish.invitations,
  };
  if (wish.action === 'create' && endpoint) {
    const { name, size_min: sizeMin, size_max: sizeMax, public: isPublic } = endpoint;
    if (endpoint.type === 'SPHINXMIX') {
      if (endpoint.wait_ms !== undefined) {
        throw new PanoramixError('config-invalid', 'endpoint.wait_ms: SPHINXMIX has no dummies');
      }
      return await foundBatch({ ...proposal, stops: { name, sizeMin, sizeMax, public: isPublic } });
    }
    const gateway = {
      endpointId: gatewayIdOf(name, 1),
      description: endpoint.description,
      sizeMin,
      sizeMax,
      waitMs: endpoint.wait_ms ?? null,
      public: isPublic,
    };
    return await foundBatch({ ...proposal, gateway });
  }
  if (wish.action === 'create') {
    if (!node)
      throw new PanoramixError('config-invalid', 'mixnet.roles or mixnet.endpoint is missing');
    // Mail needs X25519: its links would be ten times slower in P-224.
    if (wish.group !== 'X25519') {
      throw new PanoramixError('config-invalid', 'mixnet.group: mail needs X25519');
    }
    return await foundMixnet({
      ...proposal,
      node,
      traffic: wish.traffic,
      snapshotLifetimeMs: wish.snapshot_lifetime_ms,
      keyLifetimeMs: wish.key_lifetime_ms,
    });
  }
  const invitation = given ?? process.env['PANORAMIX_INVITATION'] ?? wish.invitation;
  if (!invitation) {
    throw new PanoramixError(
      'config-invalid',
      'to join, give PANORAMIX_INVITATION, mixnet.invitation or --invitation',
    );
  }
  return await joinAny({ ...options, invitation, ...(node && { node }) });
}

function describe(event: WizardEvent): string {
  switch (event.event) {
    case 'registered':
      return `Registered peer with PEER_ID: ${event.peerId}`;
    case 'invitations':
      return `Send invitations to peers, one to each, over a channel that nobody reads:\n${event.invitations.join('\n')}`;
    case 'proposed':
      return `${event.terms.coordinator} proposes "${event.terms.mixnetName}": ${JSON.stringify(event.terms.params)}, rule ${JSON.stringify(event.terms.rule)}`;
    case 'joined':
      return `${event.joined} of ${event.invited} invited peers have joined`;
    case 'founded':
      return `Consensus reached. Created combined peer ${event.mixnetId}`;
    case 'nodes-named':
      return `${event.named} of ${event.owners} owners have named their nodes`;
    case 'few-mixes':
      return `Attention: some routes find ${event.available} mixes of other owners instead of ${event.needed}`;
    case 'gateway-opened':
      return `Consensus reached. Created endpoint ${event.terms.endpointId}: ${event.terms.sizeMin} to ${event.terms.sizeMax} messages a cycle`;
    case 'stop-opened':
      return `Consensus reached. Created our endpoint: ${event.terms.sizeMin} to ${event.terms.sizeMax} messages a cycle`;
    case 'nodes-agreed':
      return `All owners signed the list of ${event.nodes.length} nodes`;
    case 'sent':
      return event.what === 'proposal'
        ? `Your proposal is contribution: ${event.contribution}`
        : `Sent contribution ${event.contribution}`;
    case 'invitations-pending':
      return `${event.invitations.length} invitations pending`;
    case 'contribution-pending':
      return `Contribution pending from: ${event.from.join(', ')}`;
    case 'all-agreed':
      return 'All have agreed. Sending accept contribution.';
    case 'no-consensus-yet':
      return 'No consensus yet.';
    case 'consensus':
      return `Consensus reached: ${event.consensusId}`;
    case 'counter':
      return `${event.from} proposes ${JSON.stringify(event.differences)}: ${event.outcome}`;
    case 'without':
      return `Going on without ${event.peers.join(', ')}`;
    case 'own-domains':
      return `Attention: DNS does not show as ours: ${event.domains.map((one) => `${one.domain} (${one.outcome})`).join(', ')}`;
    default:
      return event satisfies never;
  }
}
