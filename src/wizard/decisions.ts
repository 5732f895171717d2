/**
 * What operators are asked on the way to a mixnet and while it lives (D4.2 §3.3, §5): each question holds
 * all that one needs to see, as plain data, and each is asked once for each proposal. Programs decide by
 * options; the dialogue implements the same interface for people, who may take as long as they like.
 */
import type { Rule } from '../api/peer.ts';
import type { LogEntry, LogNode, PacketParams, TrafficText } from '../mixnet/directory-texts.ts';
import type { DomainFinding } from './domain-proof.ts';

/** Somebody who takes part. */
export interface Person {
  readonly peerId: string;
  /** To be compared over another channel: 32 hex digits in groups of 4. */
  readonly fingerprint: string;
  /** Whether it is this peer itself. */
  readonly isSelf: boolean;
  readonly isCoordinator: boolean;
}

/** Stops everything: it is said aloud and signed, and everybody reads who and why. */
export interface Abort {
  readonly answer: 'abort';
  /** One line, at most 200 characters, no control characters; others are told something generic. */
  readonly reason: string;
}

export interface Accept {
  readonly answer: 'accept';
}

/** Other values for some of what was proposed; the coordinator adopts them or not. */
export interface Counter<Values> {
  readonly answer: 'counter';
  readonly changes: Values;
}

/** In every question to which one may answer with values. */
interface Round {
  /** Contribution number of the proposal at its controller (D4.2 §5.2, "with contribution 21"). */
  readonly contribution: number;
  /** 1 for the first proposal, one more for each that followed. */
  readonly round: number;
  /** Names of the values that differ from the proposal before, empty in the first round. */
  readonly changed: readonly string[];
  /** Set where our own counter-proposal to the proposal before was not adopted. */
  readonly notAdopted: boolean;
  /** Why our last answer to this very question could not be sent, as a sentence; then it is asked again. */
  readonly unusable: string | null;
}

/** What the coordinator proposes to found. */
export interface FoundingTermsText {
  readonly mixnetName: string;
  readonly backend: 'SPHINXMIX';
  readonly params: PacketParams;
  readonly rule: Rule;
}

/** A contributor's: proposed terms of the mixnet that he is invited to. */
export interface TermsQuestion extends Round {
  readonly coordinator: Person;
  readonly terms: FoundingTermsText;
  /** How many are invited, ourselves among them. */
  readonly invited: number;
}

/** Counter-proposed founding values; a rule `{m, n}` has the owners' number as n. */
export interface FoundingChanges {
  readonly mixnetName?: string;
  readonly params?: Partial<PacketParams>;
  readonly rule?: Rule;
}

/** One value of a counter-proposal beside ours. Names as in D4.2 or in the configuration file. */
export interface Difference {
  readonly name: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

/** The coordinator's: somebody proposes other values. */
export interface CounterQuestion {
  readonly about: Stage;
  readonly from: Person;
  readonly contribution: number;
  readonly differences: readonly Difference[];
}

/** `adopt`: a new proposal with these values, on which everybody decides anew. `keep`: he decides anew. */
export type CounterAnswer = { readonly answer: 'adopt' } | { readonly answer: 'keep' } | Abort;

/** Everybody's, before the founding text is signed for good. */
export interface OwnersQuestion {
  readonly terms: FoundingTermsText;
  readonly mixnetId: string;
  /** Sorted by peer id. */
  readonly owners: readonly Person[];
}

/** Every owner's, before a log entry with the first nodes is signed. */
export interface NodesQuestion extends Round {
  readonly mixnetId: string;
  readonly coordinator: Person;
  /** One of each owner: roles, domains, weight. */
  readonly nodes: readonly LogNode[];
  readonly owners: readonly Person[];
  readonly traffic: TrafficText;
  readonly snapshotLifetimeMs: number;
  readonly keyLifetimeMs: number;
  /** What DNS says of each domain (design §8), and what the operator has confirmed beforehand. */
  readonly domains: readonly DomainFinding[];
  /** Mixes of other owners that the worst pair of gateways finds, and how many a route needs. */
  readonly mixesAvailable: number;
  readonly mixesNeeded: number;
}

/** Counter-proposed traffic and lifetimes. Nodes are their owners' own affair. */
export interface NodesChanges {
  readonly traffic?: Partial<TrafficText>;
  readonly snapshotLifetimeMs?: number;
  readonly keyLifetimeMs?: number;
}

/** Accepts, with domains that the operator vouches for though DNS did not prove them. */
export interface AcceptDomains extends Accept {
  /** What is neither proved nor here nor in `confirmed_domains` is not signed: `domain-unproved`. */
  readonly confirmedDomains?: readonly string[];
}

/** Other values, with domains as in `AcceptDomains`: an adopted counter-proposal is signed without another question. */
export interface CounterDomains<Values> extends Counter<Values> {
  readonly confirmedDomains?: readonly string[];
}

/** A batch mixnet's endpoint as it is proposed (D4.2 §5.2, ENDPOINT_NAME to EP_DESCRIPTION). */
export interface EndpointTermsText {
  readonly name: string;
  readonly type: 'SPHINXMIX_GATEWAY' | 'SPHINXMIX';
  readonly sizeMin: number;
  readonly sizeMax: number;
  readonly description: string;
  /** Null: a cycle waits for its minimum, however long. */
  readonly waitMs: number | null;
  readonly public: boolean;
}

/** Every contributor's, before an endpoint is agreed on. */
export interface EndpointQuestion extends Round {
  readonly mixnetId: string;
  readonly coordinator: Person;
  readonly terms: EndpointTermsText;
}

/** Counter-proposed values of an endpoint. */
export type EndpointChanges = Partial<Pick<EndpointTermsText, 'sizeMin' | 'sizeMax' | 'waitMs'>> &
  Partial<Pick<EndpointTermsText, 'description' | 'public'>>;

/** Every owner's, before a later log entry is signed (src/wizard/change*.ts). */
export interface ChangeQuestion extends Round {
  readonly mixnetId: string;
  readonly proposer: Person;
  readonly before: LogEntry;
  readonly after: LogEntry;
  readonly ownersBefore: readonly Person[];
  readonly ownersAfter: readonly Person[];
  readonly ruleBefore: Rule;
  readonly ruleAfter: Rule;
  /** Everything that differs, by name, for who has no time to compare. */
  readonly differences: readonly Difference[];
  /** Domains that are new in the log. */
  readonly domains: readonly DomainFinding[];
}

/** Counter-proposed values of a change; who and what else is in it is its proposer's. */
export interface ChangeChanges extends NodesChanges {
  readonly rule?: Rule;
}

/** Whom the coordinator waits for. */
export interface MissingQuestion {
  readonly about: Stage;
  /** Since the first look at what he waits for. */
  readonly waitedMs: number;
  /** Invitations (`negotiation|token`) that nobody has used yet. */
  readonly invitations: readonly string[];
  /** Who has joined and has not answered the present proposal, or not signed. */
  readonly silent: readonly Person[];
  readonly present: readonly Person[];
  /** False where the rule, or the kind of mixnet, needs those who are missing. */
  readonly canGoOn: boolean;
}

/** `wait` is asked again after as long as the first time. */
export type MissingAnswer =
  { readonly answer: 'wait' } | { readonly answer: 'go-on-without' } | Abort;

/** Which text is negotiated. */
export type Stage = 'founding' | 'nodes' | 'endpoint' | 'change';

/**
 * Who decides. Each method is called once for each question; meanwhile polling goes on. `moot` is aborted
 * where the question has become void (another proposal came, somebody aborted, the missing came): the
 * answer is not used then, and the promise may stay open. A rejected promise ends the wizard with it, nothing
 * signed and nothing said: a later run asks again.
 */
export interface Decisions {
  proposedTerms(
    question: TermsQuestion,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<FoundingChanges>>;
  counterProposal(question: CounterQuestion, moot: AbortSignal): Promise<CounterAnswer>;
  owners(question: OwnersQuestion, moot: AbortSignal): Promise<Accept | Abort>;
  nodes(
    question: NodesQuestion,
    moot: AbortSignal,
  ): Promise<AcceptDomains | Abort | CounterDomains<NodesChanges>>;
  endpoint(
    question: EndpointQuestion,
    moot: AbortSignal,
  ): Promise<Accept | Abort | Counter<EndpointChanges>>;
  change(
    question: ChangeQuestion,
    moot: AbortSignal,
  ): Promise<AcceptDomains | Abort | Counter<ChangeChanges>>;
  missing(question: MissingQuestion, moot: AbortSignal): Promise<MissingAnswer>;
}

/** What a program decides by. */
export interface DecidingOptions {
  /** Null to go on, else the reason against the proposed terms. Default: all that can work is accepted. */
  readonly reviewTerms?: (terms: FoundingTermsText) => string | null;
  /** Null to go on, else the reason against an endpoint. */
  readonly reviewEndpoint?: (terms: EndpointTermsText) => string | null;
}

const ACCEPT = { answer: 'accept' } as const;

/**
 * Decides without asking, as `wizard --yes` does: accepts what can work and what the options do not speak
 * against, keeps its own proposals, and waits for who is missing as long as the negotiation lasts.
 */
export function decideByOptions(options: DecidingOptions = {}): Decisions {
  return {
    proposedTerms: ({ terms }) => Promise.resolve(unless(options.reviewTerms?.(terms))),
    counterProposal: () => Promise.resolve({ answer: 'keep' }),
    owners: () => Promise.resolve(ACCEPT),
    nodes: () => Promise.resolve(ACCEPT),
    endpoint: ({ terms }) => Promise.resolve(unless(options.reviewEndpoint?.(terms))),
    change: () => Promise.resolve(ACCEPT),
    missing: () => Promise.resolve({ answer: 'wait' }),
  };
}

function unless(reason: string | null | undefined): Accept | Abort {
  return reason == null ? ACCEPT : { answer: 'abort', reason };
}
