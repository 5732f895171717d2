/**
 * New owners of a mixnet that is there, seen by who invited them: they join with a token each in a negotiation
 * of their own, in which the proposer proves that it is he, and learn there where the change is agreed on.
 */
import { retrying, type Party } from '../client/agree.ts';
import {
  createToken,
  holdsInvitation,
  proveInvitation,
  writeInvitation,
  type Invitation,
} from '../client/invitation.ts';
import { lastWord, type Meeting } from '../client/meeting.ts';
import { PanoramixError } from '../errors.ts';
import { logNode, type LogNode } from '../mixnet/directory-texts.ts';
import type { OperatorFile, ProposedChange } from '../mixer/operator-file.ts';
import type { ChangeOptions } from './change-options.ts';
import { look, sayWord } from './change-step.ts';
import { changeDraft, type ChangeGround } from './change-text.ts';

const PATIENCE_MS_DEFAULT = 10 * 60_000;

interface Gathering {
  readonly party: Party;
  readonly file: OperatorFile;
  readonly options: ChangeOptions;
  readonly ground: ChangeGround;
  readonly change: ProposedChange;
}

/**
 * The nodes of all who were invited, once they have joined; none where nobody was.
 * @throws PanoramixError `agreement-aborted` where the operator does not wait any longer
 */
export async function gatherGuests(gathering: Gathering): Promise<readonly LogNode[]> {
  const { change, file, options, party } = gathering;
  if (!change.wish.invite) return [];
  if (change.guests) return change.guests;
  const { joining, invitations } = await invite(gathering);
  options.progress?.({
    event: 'change-invitations',
    invitations: invitations.map(writeInvitation),
  });
  let sinceMs = party.now();
  for (;;) {
    const meeting = await look(party, joining);
    const withdrawn = file.read().change?.withdrawn ?? [];
    const awaited = invitations.filter(({ token }) => !withdrawn.includes(token));
    const guests = guestsOf(gathering, meeting, awaited);
    const { length: joined } = guests;
    options.progress?.({ event: 'change-joined', joined, invited: awaited.length });
    if (joined === awaited.length) {
      file.update({ change: { ...(file.read().change as ProposedChange), guests: [...guests] } });
      return guests;
    }
    if (party.now() - sinceMs >= (options.patienceMs ?? PATIENCE_MS_DEFAULT)) {
      await askWhoIsMissing(gathering, {
        meeting,
        awaited,
        guests,
        waitedMs: party.now() - sinceMs,
      });
      sinceMs = party.now();
    }
    await party.wait(party.pollMs);
  }
}

/** Tells the guests where the change is agreed on; said again where it has moved. */
export async function tellGuests(
  party: Party,
  { joining_negotiation_id: joining, negotiation_id: id }: ProposedChange,
  ground: ChangeGround,
): Promise<void> {
  if (joining === undefined || id === undefined) return;
  const meeting = await look(party, joining);
  if (lastWord(meeting, party.peerId)?.body.meta.next_negotiation_id === id) return;
  await sayWord(party, meeting, changeDraft(ground, ground.standing), { next_negotiation_id: id });
}

/** Opens the guests' negotiation, draws the tokens, and proves to each who invites him. */
async function invite({ party, file, change, ground }: Gathering) {
  let { joining_negotiation_id: joining, tokens = [] } = change;
  if (joining === undefined) {
    joining = await retrying(party, () => party.client.createNegotiation());
    tokens = Array.from({ length: change.wish.invite ?? 0 }, () => createToken(party.primitives));
    file.update({ change: { ...change, joining_negotiation_id: joining, tokens } });
  }
  const negotiationId = joining;
  const invitations = tokens.map((token): Invitation => ({ negotiationId, token }));
  const meeting = await look(party, joining);
  if (lastWord(meeting, party.peerId) === null) {
    // Before anybody holds an invitation: who comes finds what he is invited to.
    await sayWord(party, meeting, changeDraft(ground, ground.standing), {
      invitations: invitations.map((one) => proveInvitation(party.primitives, one, party.peerId)),
    });
  }
  return { joining, invitations };
}

/** One node for each invitation that somebody has proved to hold, the first to do so; his last wish counts. */
function guestsOf(
  { party, ground }: Gathering,
  meeting: Meeting,
  invitations: readonly Invitation[],
): LogNode[] {
  const joined = new Map<string, LogNode>();
  for (const invitation of invitations) {
    for (const { signer, body } of meeting.statements) {
      const proof = body.meta.invitation;
      if (joined.has(signer) || ground.standing.owners.includes(signer)) continue;
      if (!holdsInvitation(party.primitives, invitation, signer, proof)) continue;
      const node = wishOf(meeting, signer);
      if (node) joined.set(signer, node);
      break;
    }
  }
  return [...joined.values()].toSorted((left, right) => (left.peer_id < right.peer_id ? -1 : 1));
}

function wishOf(meeting: Meeting, signer: string): LogNode | null {
  const data = lastWord(meeting, signer)?.body.data as { node?: unknown } | null | undefined;
  const parsed = logNode.safeParse(data?.node);
  const isOwn = parsed.success && parsed.data.peer_id === signer && parsed.data.owner === signer;
  return isOwn ? parsed.data : null;
}

async function askWhoIsMissing(
  { options, file, party }: Gathering,
  seen: {
    readonly meeting: Meeting;
    readonly awaited: readonly Invitation[];
    readonly guests: readonly LogNode[];
    readonly waitedMs: number;
  },
): Promise<void> {
  const unused = seen.awaited.filter(
    (invitation) =>
      !seen.guests.some(({ peer_id: guest }) =>
        seen.meeting.statements.some(
          ({ signer, body }) =>
            signer === guest &&
            holdsInvitation(party.primitives, invitation, signer, body.meta.invitation),
        ),
      ),
  );
  const answer = await options.decisions.missing(
    {
      about: 'change',
      waitedMs: seen.waitedMs,
      invitations: unused.map(writeInvitation),
      silent: [],
      present: [],
      canGoOn: true,
    },
    options.signal ?? new AbortController().signal,
  );
  if (answer.answer === 'wait') return;
  if (answer.answer === 'abort') {
    throw new PanoramixError('agreement-aborted', `we have stopped it: ${answer.reason}`);
  }
  const change = file.read().change as ProposedChange;
  const withdrawn = [...(change.withdrawn ?? []), ...unused.map(({ token }) => token)];
  file.update({ change: { ...change, withdrawn } });
}
