/**
 * `panoramix wizard change`: changes a mixnet that is there by negotiation, or answers what another owner
 * proposes; `wizard pause` and `wizard resume` keep new routes away from the own node, or let them come again.
 */
import { Command } from 'commander';
import { requireUrlForOthers } from '../api/controller-url.ts';
import { ControllerClient } from '../client/controller.ts';
import { readConfig, section, type Config } from '../config.ts';
import { native } from '../crypto/native.ts';
import { PanoramixError } from '../errors.ts';
import { readOrCreateIdentity } from '../key-files.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { OperatorFile, type ChangeWish } from '../mixer/operator-file.ts';
import { moreThanHalf } from '../mixnet/directory-texts.ts';
import { Terminal } from '../terminal.ts';
import { trustAuthorities } from '../tls-files.ts';
import { describeChange } from '../wizard/change-describe.ts';
import type { ChangeEvent } from '../wizard/change-events.ts';
import type { ChangeOptions } from '../wizard/change-options.ts';
import { refuseChange, reviewChange } from '../wizard/change-review.ts';
import { describeChangeEvent, describeOutcome } from '../wizard/change-sayings.ts';
import { partyOfChange, readGround } from '../wizard/change-step.ts';
import type { ChangeGround } from '../wizard/change-text.ts';
import { applyWish, placeholders, SETTABLE } from '../wizard/change-wish.ts';
import { proposeChange, withdrawChange } from '../wizard/change.ts';
import { decideByOptions } from '../wizard/decisions.ts';
import { DialogueDecisions } from '../wizard/dialogue/dialogue-decisions.ts';
import { TerminalTalk } from '../wizard/dialogue/ask-terminal.ts';
import { proveDomains } from '../wizard/domain-proof.ts';
import { EXIT, runVerb } from './program.ts';

const POLL_MS = 1_000;
/** A peer id may be cut to so many digits where that names one peer. */
const PEER_DIGITS_MIN = 8;

/** The flags of `wizard change`, as commander gives them. */
export interface ChangeFlags {
  readonly config?: string;
  readonly yes?: true;
  readonly json?: true;
  readonly addDomain?: readonly string[];
  readonly removeDomain?: readonly string[];
  readonly weight?: string;
  readonly roles?: string;
  readonly node?: string;
  readonly removeNode?: readonly string[];
  readonly removeOwner?: readonly string[];
  readonly invite?: string;
  readonly set?: readonly string[];
  readonly rule?: string;
  readonly leave?: true;
  /** True without an id. */
  readonly review?: string | true;
  readonly abort?: string;
}

type Say = (event: object, text: string) => void;

/** Adds the verbs to `wizard`, for wizard.ts. */
export function addChangeCommands(wizard: Command): Command {
  // What stands behind a verb is the verb's: `wizard` has a --yes and a --config of its own.
  wizard.enablePositionalOptions();
  wizard
    .command('change')
    .description('proposes a change of the mixnet to its owners, or answers what another proposes')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .option('--add-domain <domains...>', 'our gateway serves these too; they may move from another')
    .option('--remove-domain <domains...>', 'our gateway serves these no more')
    .option('--weight <n>', "our gateway's share among all exits")
    .option('--roles <list>', 'mix, gateway or both, with a comma; adds our node where it is none')
    .option('--node <peer>', 'another node than ours, for domains, weight and roles')
    .option('--remove-node <peers...>', 'nodes that leave')
    .option('--remove-owner <peers...>', 'owners who leave, with their nodes')
    .option('--invite <n>', 'so many new owners join')
    .option('--set <values...>', `NAME=VALUE of ${SETTABLE.join(', ')}`)
    .option('--rule <rule>', 'who signs later changes: all, half (more than half), or a number')
    .option('--leave', 'we leave, with our node')
    .option('--review [negotiation]', 'answer what another proposes')
    .option('--abort <reason>', 'refuse what --review names; without it, take our own change back')
    .option('--yes', 'do it; without it the change is only shown')
    .option('--json', 'one JSON object for each step')
    .action((flags: ChangeFlags) => runVerb(() => runChange(flags)));
  for (const paused of [true, false]) {
    wizard
      .command(paused ? 'pause' : 'resume')
      .description(
        paused
          ? 'lets our node take no new routes, from the next snapshot on; it still serves its domains'
          : 'lets our node take routes again',
      )
      .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
      .action((flags: ChangeFlags) => runVerb(() => Promise.resolve(setPaused(flags, paused))));
  }
  return wizard;
}

/** Notes for the node whether it pauses. */
export function setPaused({ config: path }: ChangeFlags, paused: boolean): number {
  const { mixnet_file: statePath } = section(readConfig(path), 'node');
  new OperatorFile(statePath).update({ paused });
  new Terminal().line(
    paused
      ? 'The node pauses: it says so in the next snapshot, which it asks for if it runs'
      : 'The node takes routes again from the next snapshot on',
  );
  return EXIT.done;
}

/** Proposes, shows or answers a change, as the flags say. */
export async function runChange(flags: ChangeFlags): Promise<number> {
  const config = readConfig(flags.config);
  const terminal = new Terminal();
  const say: Say = (event, text) => {
    if (flags.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    else terminal.line(text);
  };
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop);
  try {
    return await change(changeOptions(config, say, flags, stopping.signal), flags, say);
  } finally {
    process.off('SIGINT', stop);
  }
}

async function change(options: ChangeOptions, flags: ChangeFlags, say: Say): Promise<number> {
  if (flags.review !== undefined) return await review(options, flags, say);
  if (flags.abort !== undefined) {
    const isBack = await withdrawChange(options, flags.abort);
    say(
      { event: isBack ? 'withdrawn' : 'applied' },
      isBack ? 'Taken back' : 'Too late: the owners have agreed on it',
    );
    return isBack ? EXIT.done : EXIT.failed;
  }
  return await propose(options, flags, say);
}

/** Each of the flags is looked at with the mixnet as it is now. */
async function propose(options: ChangeOptions, flags: ChangeFlags, say: Say): Promise<number> {
  const { mixnet_id: mixnetId } = new MixnetStateFile(options.statePath).read() ?? {};
  if (mixnetId === undefined) {
    throw new PanoramixError('config-invalid', `${options.statePath} names no mixnet`);
  }
  const ground = await readGround(partyOfChange(options), mixnetId);
  const wish = wishOf(flags, ground, options.identity.peerId);
  if (flags.yes) {
    const outcome = await proposeChange(options, wish);
    say({ event: 'done', ...outcome }, describeOutcome(outcome));
    return EXIT.done;
  }
  if (wish === null) {
    throw new PanoramixError('config-invalid', 'say what is to change, or --yes to go on with it');
  }
  const guests = placeholders(wish);
  const applied = applyWish(ground, options.identity.peerId, wish, guests);
  if (!applied.ok) throw new PanoramixError('config-invalid', applied.refused);
  const lines = describeChange(ground.standing, applied.standing);
  say(
    { event: 'shown', lines },
    lines.map(({ text }) => text).join('\n') || 'Nothing would change',
  );
  say({ event: 'not-proposed' }, 'So far nobody has been told; --yes proposes it');
  return EXIT.done;
}

async function review(options: ChangeOptions, flags: ChangeFlags, say: Say): Promise<number> {
  const id = typeof flags.review === 'string' ? flags.review : undefined;
  if (flags.abort !== undefined) {
    await refuseChange(options, flags.abort, id);
    say({ event: 'refused' }, 'Refused, with your reason');
    return EXIT.done;
  }
  const outcome = await reviewChange(options, id);
  say({ event: 'done', ...outcome }, describeOutcome(outcome));
  return EXIT.done;
}

function changeOptions(
  config: Config,
  say: Say,
  flags: ChangeFlags,
  signal: AbortSignal,
): ChangeOptions {
  const wish = section(config, 'mixnet');
  const { controller_url: ownUrl, mixnet_file: statePath } = section(config, 'node');
  trustAuthorities(config.tls_ca);
  const identity = readOrCreateIdentity(config.data_dir, native);
  const url = new MixnetStateFile(statePath).read()?.catalog_url ?? wish.catalog_url;
  requireUrlForOthers(ownUrl, url);
  const servers = wish.dns_servers.map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  return {
    client: new ControllerClient({ url, identity, primitives: native }),
    identity,
    primitives: native,
    statePath,
    peerName: config.name,
    pollMs: POLL_MS,
    signal,
    decisions: decisionsFor(flags),
    proveDomains: (claims) =>
      proveDomains(claims, identity.peerId, { servers, confirmed: wish.confirmed_domains }),
    progress: onlyNews((event) => say(event, describeChangeEvent(event))),
  };
}

/** Who reviews without --yes is asked. */
function decisionsFor({ yes, review: reviews, abort }: ChangeFlags): ChangeOptions['decisions'] {
  if (yes || reviews === undefined || abort !== undefined) return decideByOptions();
  if (process.stdin.isTTY && process.stdout.isTTY) return new DialogueDecisions(new TerminalTalk());
  throw new PanoramixError(
    'config-invalid',
    'there is no terminal to ask in: add --yes or --abort',
  );
}

/** Each thing once, until something else has happened of its kind. */
function onlyNews(tell: (event: ChangeEvent) => void): (event: ChangeEvent) => void {
  const told = new Map<string, string>();
  return (event) => {
    const text = JSON.stringify(event);
    if (told.get(event.event) === text) return;
    told.set(event.event, text);
    tell(event);
  };
}

/** What the flags ask for; null where they ask for nothing: then it goes on with what is under way. */
export function wishOf(flags: ChangeFlags, ground: ChangeGround, self: string): ChangeWish | null {
  const { entry, owners } = ground.standing;
  const nodes = entry.nodes.map((node) => node.peer_id);
  const removedOwners = [
    ...(flags.removeOwner ?? []).map((text) => peerIn(owners, text, 'owner')),
    ...(flags.leave ? [self] : []),
  ];
  const wish: ChangeWish = {
    ...(flags.addDomain && { add_domains: [...flags.addDomain] }),
    ...(flags.removeDomain && { remove_domains: [...flags.removeDomain] }),
    ...(flags.weight !== undefined && { weight: numberIn('--weight', flags.weight) }),
    ...(flags.roles !== undefined && { roles: rolesIn(flags.roles) }),
    ...(flags.node !== undefined && { node: peerIn(nodes, flags.node, 'node') }),
    ...(flags.removeNode && {
      remove_nodes: flags.removeNode.map((text) => peerIn(nodes, text, 'node')),
    }),
    ...(removedOwners.length > 0 && { remove_owners: removedOwners }),
    ...(flags.invite !== undefined && { invite: numberIn('--invite', flags.invite) }),
    ...(flags.set && { set: Object.fromEntries(flags.set.map(valueIn)) }),
    ...(flags.rule !== undefined && {
      rule: ruleIn(flags.rule, owners.length - removedOwners.length + Number(flags.invite ?? 0)),
    }),
  };
  return Object.keys(wish).length === 0 ? null : wish;
}

function peerIn(ids: readonly string[], text: string, what: string): string {
  const wanted = text.toLowerCase().replace(/…$/, '');
  const [found, another] = ids.filter((id) => id.startsWith(wanted));
  if (found !== undefined && another === undefined && wanted.length >= PEER_DIGITS_MIN)
    return found;
  throw new PanoramixError(
    'config-invalid',
    `${text}: no ${what} of this mixnet, or more than one`,
  );
}

function numberIn(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= 1) return value;
  throw new PanoramixError('config-invalid', `${name} takes a whole number from 1 on`);
}

function rolesIn(text: string): ('mix' | 'gateway')[] {
  return text.split(',').map((part) => {
    const role = part.trim();
    if (role === 'mix' || role === 'gateway') return role;
    throw new PanoramixError('config-invalid', `--roles: ${role} is neither mix nor gateway`);
  });
}

function valueIn(text: string): [string, number] {
  const [name = '', value = ''] = text.split('=');
  if (SETTABLE.includes(name) && value.trim() !== '' && Number.isFinite(Number(value))) {
    return [name, Number(value)];
  }
  throw new PanoramixError('config-invalid', `--set ${text}: NAME=VALUE of ${SETTABLE.join(', ')}`);
}

function ruleIn(text: string, owners: number): NonNullable<ChangeWish['rule']> {
  if (text === 'all') return 'all';
  if (text === 'half') return moreThanHalf(owners);
  const m = numberIn('--rule', text);
  if (m <= owners) return { m, n: owners };
  throw new PanoramixError('config-invalid', `--rule: ${m} of ${owners} owners can never sign`);
}
