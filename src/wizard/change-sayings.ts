/** What the wizard says while it changes a mixnet, or joins one that is there. */
import type { ChangeEvent, ChangeOutcome } from './change-events.ts';

type Sayings = {
  readonly [Name in ChangeEvent['event']]: (event: Extract<ChangeEvent, { event: Name }>) => string;
};

const SAYINGS: Sayings = {
  'change-invitations': ({ invitations }) =>
    ['Send invitations to new owners:', ...invitations.map((one) => `  ${one}`)].join('\n'),
  'change-joined': ({ joined, invited }) => `${joined} of ${invited} invited peers have joined`,
  'change-proposed': ({ negotiationId, proposer, lines }) =>
    [
      `${short(proposer)} proposes in negotiation ${negotiationId}:`,
      ...lines.map(({ text }) => `  ${text}`),
    ].join('\n'),
  'change-signed': ({ signed, needed }) => `${signed} of ${needed} signatures are there`,
  'change-refused': ({ by, reason }) => `${short(by)} does not sign: ${reason}`,
  'change-rebased': () => 'Another change came first: proposing the same on top of it',
  'few-mixes': ({ available, needed }) =>
    `Attention: some routes find ${available} mixes of other owners instead of ${needed}`,
  'change-applied': () => 'The change holds: the next snapshot goes by it, within minutes',
};

/** One sentence, or several lines, for each event. */
export function describeChangeEvent(event: ChangeEvent): string {
  const say = SAYINGS[event.event] as (event: ChangeEvent) => string;
  return say(event);
}

/** How it ended. */
export function describeOutcome(outcome: ChangeOutcome): string {
  switch (outcome.outcome) {
    case 'applied':
      return 'The owners have agreed: it is in the log';
    case 'signed':
      return `Signed; ${outcome.signed} of ${outcome.needed} signatures are there, the others are still to come`;
    case 'nothing-to-do':
      return 'Nothing to do: the log says so already';
    default:
      return outcome satisfies never;
  }
}

function short(peerId: string): string {
  return `${peerId.slice(0, 8)}…`;
}
