/**
 * The first entry of the log, agreed on (design §8): each owner names his own node, the coordinator proposes them
 * together with the traffic, everybody looks at nodes, domains and traffic and answers, and all sign what all accepted.
 */
import type { VerifiedConsensus } from '../api/negotiation.ts';
import { signaturesNeeded } from '../api/peer.ts';
import { retrying, type Agreed, type Draft, type Party } from '../client/agree.ts';
import { lastWord, nextNegotiation, type Meeting } from '../client/meeting.ts';
import { readRounds, sameTerms, type Rounds } from '../client/rounds.ts';
import { PanoramixError } from '../errors.ts';
import { logEntry, type LogEntry, type LogNode } from '../mixnet/directory-texts.ts';
import { refuseLifetimes } from '../mixnet/key-epochs.ts';
import type { MixnetState, MixnetStateFile } from '../mixer/mixnet-state.ts';
import { Answers, judgeRounds, type RoundFields, type Word } from './deciding.ts';
import type { Abort, Accept, Counter, NodesChanges, NodesQuestion } from './decisions.ts';
import { isUnproved, proveDomains, whyUnproved, type DomainFinding } from './domain-proof.ts';
import {
  composeEntry,
  entryDraft,
  entryIn,
  mixesBetween,
  namedNodes,
  nodeOf,
  NODES_READING,
  refuseClaims,
  refuseForMail,
  reviewEntry,
  reviewNodes,
  wishNode,
  withoutIn,
  type Ground,
  type Terms,
} from './nodes.ts';
import type { Mixnet, PeerOptions, WizardOptions } from './options.ts';
import { mixnetOf, settle, type Steps } from './settle.ts';
import { Talk } from './talk.ts';

/** The coordinator's: traffic, and the negotiation that follows. */
export interface NodesProposal {
  readonly terms: Terms;
  readonly nextNegotiationId: string;
}

/**
 * Names the nodes, and applies the entry.
 * @param proposal null where we do not coordinate
 */
export async function agreeOnNodes(
  party: Party,
  options: WizardOptions,
  file: MixnetStateFile,
  ground: Ground,
  proposal: NodesProposal | null = null,
): Promise<Mixnet> {
  const negotiationId = (file.read() as MixnetState).log_negotiation_id as string;
  const naming = new Naming(party, options, file, { ...ground, negotiationId }, proposal);
  const agreed = await settle(naming.talk, 'nodes', negotiationId, naming.steps);
  await applyNodes(party, ground, agreed.consensus);
  return finish(party, options, file, agreed);
}

/** One run of the negotiation about the nodes. */
class Naming {
  readonly talk: Talk;
  readonly #options: WizardOptions;
  readonly #ground: Ground & { readonly negotiationId: string };
  readonly #proposal: NodesProposal | null;
  readonly #own: LogNode;
  readonly #answers: Answers<LogEntry, NodesChanges>;
  /** Domains that the operator has confirmed when he was asked. */
  readonly #vouchedFor = new Set<string>();
  /** The coordinator's: on whom nobody waits any more. */
  #without: readonly string[] | null = null;

  constructor(
    party: Party,
    options: WizardOptions,
    file: MixnetStateFile,
    ground: Ground & { readonly negotiationId: string },
    proposal: NodesProposal | null,
  ) {
    this.#options = options;
    this.#ground = ground;
    this.#proposal = proposal;
    this.#own = nodeOf(party.peerId, options.node);
    this.talk = new Talk(party, options, file, {
      stage: 'nodes',
      negotiationId: ground.negotiationId,
      coordinator: () => ground.coordinator,
      heeds: (signer) => ground.owners.includes(signer),
      draft: () => wishNode(ground, this.#own),
    });
    this.#answers = new Answers(this.talk, {
      stage: 'nodes',
      ask: async (round, entry, moot) => await this.#decide(round, entry, moot),
      merge: (entry, changes) => merge(entry, changes),
      refuse: (entry) => this.#refuse(entry),
    });
  }

  get steps(): Steps {
    return {
      opening: (meeting) => (this.#proposal ? this.#proposed(meeting) : this.#answered(meeting)),
      compose: (meeting) => this.#compose(meeting),
      review: (said, meeting) =>
        reviewNodes(this.talk.party.primitives, said.body, meeting, this.#ground, this.#own),
      progress: (meeting) => this.#look(meeting),
      isLeftOut: ({ consensus }) => this.#isLeftOut(consensus),
    };
  }

  /** Whether enough owners have named their nodes without us, who never answered: we are owners without a node. */
  #isLeftOut({ body, signers }: VerifiedConsensus): boolean {
    const { owners, rule, negotiationId } = this.#ground;
    const entry = entryIn(body.data);
    const hasSigned = this.talk.file.read()?.signed[negotiationId] !== undefined;
    const those = signers.filter((key) => owners.includes(key));
    return (
      !hasSigned &&
      entry?.previous === this.#ground.mixnetId &&
      entry.nodes.every(({ owner }) => owner !== this.#own.owner) &&
      those.length >= signaturesNeeded(rule, owners.length)
    );
  }

  /** A contributor's word: his node, then what he answers. */
  #answered(meeting: Meeting): Draft | null {
    const rounds = this.#rounds(meeting);
    if (!rounds) return wishNode(this.#ground, this.#own);
    const { terms, statement } = rounds.current;
    const without = withoutIn(statement);
    if (without.includes(this.#own.owner)) return null;
    const reason = reviewEntry(terms, meeting, this.#ground, this.#own, without);
    if (reason !== null) {
      this.talk.stop(`the coordinator's list of nodes is wrong: ${reason}`, 'agreement-refused');
      return null;
    }
    const word = this.#answers.word(rounds, NODES_READING.answer);
    return word && { ...entryDraft(this.#ground, word.terms), meta: word.meta };
  }

  /** The coordinator's word: his node, then the proposal, then what has become of it. */
  #proposed(meeting: Meeting): Draft | null {
    const { terms, nextNegotiationId } = this.#proposal as NodesProposal;
    const next = { next_negotiation_id: nextNegotiationId };
    const wish = { ...wishNode(this.#ground, this.#own, terms), meta: next };
    const own = meeting.statements.findLast(({ signer }) => signer === this.#own.owner);
    if (!own) return wish;
    const rounds = this.#rounds(meeting);
    const before = rounds ? withoutIn(rounds.current.statement) : [];
    const without = [...new Set([...before, ...(this.#without ?? [])])].toSorted();
    const word = rounds
      ? judgeRounds(this.talk, rounds, this.#others(before), {
          stage: 'nodes',
          refuse: (entry) =>
            this.#refuse(entry) ??
            (sameTerms(entry.nodes, rounds.current.terms.nodes) ? null : 'nodes are changed'),
        })
      : this.#first(meeting, own, without);
    if (word === null) return wish;
    const nodes = word.terms.nodes.filter((node) => !without.includes(node.owner));
    const marks = sameTerms(before, without) || !rounds ? word.meta : {};
    return {
      ...entryDraft(this.#ground, { ...word.terms, nodes }),
      meta: { ...marks, ...next, proposes: true, ...(without.length > 0 && { without }) },
    };
  }

  /** The first proposal, once all have named their nodes and we have looked at them ourselves. */
  #first(
    meeting: Meeting,
    statement: Meeting['statements'][number],
    without: readonly string[],
  ): Word<LogEntry> | null {
    const { terms } = this.#proposal as NodesProposal;
    const entry = composeEntry(meeting, this.#ground, terms, without);
    if (!entry) return null;
    const refused = refuseClaims(entry.nodes);
    if (refused !== null) {
      this.talk.stop(refused, 'agreement-refused');
      return null;
    }
    const current = { statement, terms: entry };
    const alone: Rounds<LogEntry> = {
      proposals: [current],
      current,
      standingOf: () => ({ stand: 'silent', notAdopted: false }),
    };
    const word = this.#answers.word(alone, NODES_READING.answer);
    return word && { terms: word.terms, meta: {} };
  }

  #compose(meeting: Meeting): (Draft & { readonly signers: readonly string[] }) | null {
    const rounds = this.#rounds(meeting);
    if (!this.#proposal || !rounds) return null;
    const { terms, statement } = rounds.current;
    const others = this.#others(withoutIn(statement));
    if (others.some((key) => rounds.standingOf(key).stand !== 'agrees')) return null;
    this.talk.tell({ event: 'all-agreed', stage: 'nodes' });
    return {
      ...entryDraft(this.#ground, terms),
      meta: { next_negotiation_id: this.#proposal.nextNegotiationId },
      signers: [this.#own.owner, ...others].toSorted(),
    };
  }

  #look(meeting: Meeting): void {
    if (meeting.consensus !== null) return;
    const { owners } = this.#ground;
    const named = namedNodes(meeting, this.#ground);
    this.talk.tell({ event: 'nodes-named', named: named.length, owners: owners.length });
    if (!this.#proposal) return;
    const state = this.talk.file.read() as MixnetState;
    const silent = this.#silent(meeting, state.signed[this.#ground.negotiationId] ?? null);
    if (silent.length > 0) {
      this.talk.tell({ event: 'contribution-pending', stage: 'nodes', from: silent });
    }
    const present = owners.filter((key) => key !== this.#own.owner && !silent.includes(key));
    const needed = signaturesNeeded(this.#ground.rule, owners.length);
    const isGivenUp = this.talk.goesOnWithout({
      invitations: [],
      silent: silent.map((key) => this.talk.person(key)),
      present: present.map((key) => this.talk.person(key)),
      // Two first entries, each signed by enough, would be two logs of one mixnet.
      canGoOn:
        present.length + 1 >= needed && state.signed[this.#ground.negotiationId] === undefined,
    });
    if (!isGivenUp) return;
    this.#without = [...(this.#without ?? []), ...silent];
    this.talk.tell({ event: 'without', stage: 'nodes', peers: silent });
    this.talk.questions.wake();
  }

  /** Who has not named his node, or not answered, or not signed. */
  #silent(meeting: Meeting, signed: string | null): string[] {
    const rounds = this.#rounds(meeting);
    const without = rounds ? withoutIn(rounds.current.statement) : [];
    const others = this.#others([...without, ...(this.#without ?? [])]);
    if (signed !== null) return others.filter((key) => lastWord(meeting, key)?.text !== signed);
    if (rounds) return others.filter((key) => rounds.standingOf(key).stand === 'silent');
    const named = new Set(namedNodes(meeting, this.#ground).map((node) => node.owner));
    return others.filter((key) => !named.has(key));
  }

  async #decide(
    round: RoundFields,
    entry: LogEntry,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<NodesChanges>> {
    const { mixnetId, coordinator, owners } = this.#ground;
    const claims = entry.nodes.flatMap(({ domains, peer_id: peerId }) =>
      domains.map((domain) => ({ domain, peerId })),
    );
    const domains = await proveDomains(claims, this.#own.peer_id, {
      ...this.#options.domains,
      confirmed: [...(this.#options.domains?.confirmed ?? []), ...this.#vouchedFor],
    });
    const unshown = domains.filter((one) => one.own && one.outcome !== 'proved');
    if (unshown.length > 0) this.talk.tell({ event: 'own-domains', domains: unshown });
    const question: NodesQuestion = {
      ...round,
      mixnetId,
      coordinator: this.talk.person(coordinator),
      nodes: entry.nodes,
      owners: owners.map((key) => this.talk.person(key)),
      traffic: entry.traffic,
      snapshotLifetimeMs: entry.snapshot_lifetime_ms,
      keyLifetimeMs: entry.key_lifetime_ms,
      domains,
      mixesAvailable: mixesBetween(entry.nodes),
      mixesNeeded: entry.traffic.mixes_per_route,
    };
    const answer = await this.talk.decisions.nodes(question, moot);
    if (answer.answer === 'abort' || moot.aborted) return answer;
    for (const domain of answer.confirmedDomains ?? []) this.#vouchedFor.add(domain);
    return this.#unproved(domains) ?? answer;
  }

  /** Nobody signs, and nobody counter-proposes, a list with a domain that nothing speaks for. */
  #unproved(domains: readonly DomainFinding[]): Abort | null {
    const first = domains.find((one) => isUnproved(one) && !this.#vouchedFor.has(one.domain));
    if (!first) return null;
    const reason = `domain-unproved: ${whyUnproved(first)}`;
    this.talk.stop(reason, 'domain-unproved');
    return { answer: 'abort', reason };
  }

  #refuse(entry: LogEntry): string | null {
    const parsed = logEntry.safeParse(entry);
    if (!parsed.success) {
      return parsed.error.issues
        .map(({ path, message }) => `${path.join('.')}: ${message}`)
        .join('; ');
    }
    const { key_lifetime_ms: keyLifetimeMs, snapshot_lifetime_ms: snapshotLifetimeMs } = entry;
    return (
      refuseForMail(this.#ground.params, entry.traffic.mixes_per_route) ??
      refuseLifetimes({ keyLifetimeMs, snapshotLifetimeMs })
    );
  }

  #others(without: readonly string[]): string[] {
    return this.#ground.owners.filter((key) => key !== this.#own.owner && !without.includes(key));
  }

  #rounds(meeting: Meeting): Rounds<LogEntry> | null {
    const { primitives } = this.talk.party;
    return readRounds(primitives, meeting, this.#ground.coordinator, NODES_READING);
  }
}

function merge(entry: LogEntry, changes: NodesChanges): LogEntry {
  const { traffic, snapshotLifetimeMs, keyLifetimeMs } = changes;
  return {
    ...entry,
    traffic: { ...entry.traffic, ...traffic },
    ...(snapshotLifetimeMs !== undefined && { snapshot_lifetime_ms: snapshotLifetimeMs }),
    ...(keyLifetimeMs !== undefined && { key_lifetime_ms: keyLifetimeMs }),
  };
}

/** Applies the log entry, which another owner may have done already. */
async function applyNodes(
  party: Party,
  ground: Ground,
  consensus: VerifiedConsensus,
): Promise<void> {
  const decision = {
    consensusId: consensus.consensusId,
    onLastConsensusId: ground.foundingConsensusId,
  };
  await retrying(party, async () => {
    try {
      await party.client.updatePeer(ground.mixnetId, consensus.body.data, decision);
    } catch (error) {
      const peer = await party.client.getPeer(ground.mixnetId);
      const isDone = peer?.consensus_logs.some((log) => log.consensus_id === decision.consensusId);
      if (!isDone) throw error;
    }
  });
}

function finish(
  party: Party,
  options: PeerOptions,
  file: MixnetStateFile,
  { consensus, meeting }: Agreed,
): Mixnet {
  const { log } = consensus.body.data as { log: LogEntry };
  const next = nextNegotiation(meeting, consensus.body, party.primitives);
  if (next === null) {
    throw new PanoramixError('agreement-foreign', 'nobody named the negotiation that follows');
  }
  const available = mixesBetween(log.nodes);
  const needed = log.traffic.mixes_per_route;
  if (log.nodes.every(({ owner }) => owner !== party.peerId)) {
    options.progress?.({ event: 'left-out', nodes: log.nodes });
  }
  if (available < needed) options.progress?.({ event: 'few-mixes', available, needed });
  options.progress?.({ event: 'nodes-agreed', nodes: log.nodes });
  const {
    tokens: _tokens,
    invitation: _invitation,
    proposed_negotiation_id: _proposed,
    ...kept
  } = file.read() as MixnetState;
  return mixnetOf(
    file.write({
      ...kept,
      nodes: log.nodes.map((node) => node.peer_id),
      next_negotiation_id: next,
      // What was signed is public now; the invitations have served.
      signed: {},
    }),
  ) as Mixnet;
}
