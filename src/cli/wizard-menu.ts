/**
 * Later runs of the wizard on a mixnet that is set up: how it stands, what others propose, and what an
 * operator may want to change. Each answer is a verb of `panoramix wizard change`, which machines call.
 */
import { section, type Config } from '../config.ts';
import { asPanoramixError } from '../errors.ts';
import { MixnetStateFile, type MixnetState } from '../mixer/mixnet-state.ts';
import { OperatorFile } from '../mixer/operator-file.ts';
import { QUESTIONS } from '../wizard/dialogue/questions.ts';
import { parseNumber, type Choice, type Question } from '../wizard/dialogue/question.ts';
import type { Talk } from '../wizard/dialogue/talk.ts';
import { readDirectoryStatus } from './status-directory.ts';
import { runChange, setPaused, type ChangeFlags } from './wizard-change.ts';

const REVIEW = 'review ';
const LEFT_OPEN = 'Left open: what has been sent stands, and the others may answer meanwhile.';
const INVITE: Question = {
  ...QUESTIONS.invitations,
  parse: parseNumber(1, 100),
};

/**
 * Shows the state and offers changes until somebody wants to go on.
 * @returns once the node is to be offered to run
 */
export async function offerChanges(talk: Talk, config: Config, path: string): Promise<void> {
  const { mixnet_file: statePath } = section(config, 'node');
  for (;;) {
    const state = new MixnetStateFile(statePath).read();
    if (!state) return;
    sayState(talk, config, state);
    // Every change of a batch mixnet is a step of its nodes.
    if (!talk.answers || state.batch) return;
    const operator = new OperatorFile(statePath).read();
    const what = await talk.choose({
      message: 'What now?',
      choices: choicesFor(config, state, operator.paused, operator.change !== undefined),
    });
    if (what === 'run') return;
    await act(talk, what, path).catch((thrown: unknown) => {
      const error = asPanoramixError(thrown);
      if (error.code === 'wizard-left') throw error;
      if (thrown instanceof Error && thrown.name === 'AbortError') talk.say(LEFT_OPEN);
      else talk.warn(error.message);
    });
  }
}

function sayState(talk: Talk, config: Config, state: MixnetState): void {
  const directory = readDirectoryStatus(config, Date.now());
  const lines = [`Mix-net ${state.mixnet_id ?? ''}, ${state.nodes?.length ?? 0} nodes.`];
  if (directory?.number != null) {
    lines.push(`Directory number ${directory.number}: ${directory.state}.`);
  } else if (!state.batch) lines.push('No directory yet: the nodes agree on one when they run.');
  for (const { negotiation_id: id } of state.pending_changes ?? []) {
    lines.push(`A change waits for your answer: ${id}`);
  }
  talk.say(lines.join('\n'));
}

function choicesFor(
  config: Config,
  state: MixnetState,
  isPaused: boolean,
  isProposing: boolean,
): Choice[] {
  const isGateway = section(config, 'mixnet').roles?.includes('gateway') ?? false;
  return [
    { value: 'run', hint: 'start the node, or see how' },
    ...(state.pending_changes ?? []).map(({ negotiation_id: id }) => ({
      value: `${REVIEW}${id}`,
      hint: 'see what another owner proposes; accept, answer or abort it',
    })),
    ...(isProposing
      ? [
          { value: 'go on', hint: 'with the change that you have proposed' },
          { value: 'take back', hint: 'the change that you have proposed' },
        ]
      : [
          ...(isGateway ? [{ value: 'add domain', hint: 'your gateway serves one more' }] : []),
          { value: 'invite', hint: 'new owners' },
          { value: 'leave', hint: 'with your node; the others must agree' },
        ]),
    isPaused
      ? { value: 'resume', hint: 'let your node take routes again' }
      : { value: 'pause', hint: 'let your node take no new routes' },
  ];
}

async function act(talk: Talk, what: string, path: string): Promise<void> {
  if (what.startsWith(REVIEW)) {
    await runChange({ config: path, review: what.slice(REVIEW.length) });
    return;
  }
  switch (what) {
    case 'pause':
    case 'resume':
      setPaused({ config: path }, what === 'pause');
      return;
    case 'go on':
      await runChange({ config: path, yes: true });
      return;
    case 'take back':
      await runChange({ config: path, abort: await ask(talk, REASON) });
      return;
    case 'add domain': {
      const domains = (await ask(talk, QUESTIONS.domains)).split(/[\s,]+/).filter(Boolean);
      if (domains.length > 0) await propose(talk, { config: path, addDomain: domains });
      return;
    }
    case 'invite':
      await propose(talk, { config: path, invite: await ask(talk, INVITE) });
      return;
    default:
      await propose(talk, { config: path, leave: true });
  }
}

const REASON: Question = {
  ...QUESTIONS.name,
  message: 'Why? The others read it.',
  help: '',
};

/** Shows what would change before anybody is told. */
async function propose(talk: Talk, flags: ChangeFlags): Promise<void> {
  await runChange(flags);
  const answer = await talk.choose({
    message: 'Propose it to the others?',
    choices: [
      { value: 'yes', hint: 'it waits for their signatures; Ctrl-C leaves it open' },
      { value: 'no' },
    ],
  });
  if (answer === 'yes') await runChange({ ...flags, yes: true });
}

async function ask(talk: Talk, question: Question): Promise<string> {
  return await talk.text({
    message: question.message,
    help: question.help,
    refuse: (text) => {
      const parsed = question.parse(text);
      return 'problem' in parsed ? parsed.problem : null;
    },
  });
}
