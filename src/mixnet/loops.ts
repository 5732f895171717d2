/**
 * What a node learns from its own packets that come back (Loopix §4.1: loops). Each is a trip whose
 * hops and delays its sender drew, so it is known when each is due: a node that drops or delays shows,
 * and so does a controller that holds all packets but one (an n-1 attack). Pure; the clock is an argument.
 */

/** A packet of ours that should come back. */
export interface Trip {
  readonly id: string;
  /** Peer ids of the hops out and back, in order, without ourselves. */
  readonly nodes: readonly string[];
  /** Ms since 1970. */
  readonly sentMs: number;
  /** By when it should be back. */
  readonly dueMs: number;
}

/** Whether enough comes back. */
export interface LoopVerdict {
  readonly isAlarmed: boolean;
  /** Of the last trips that are due, how many came back, late ones too. */
  readonly returned: number;
  readonly due: number;
}

/** One node or link, over the last trips that were due. */
export interface LoopCount {
  readonly due: number;
  readonly returned: number;
  /** Median of the whole round trips through it; null where none came back. */
  readonly roundTripMs: number | null;
}

/** What comes back, by node and by link `from>to`. */
export interface LoopReport {
  readonly nodes: Readonly<Record<string, LoopCount>>;
  readonly links: Readonly<Record<string, LoopCount>>;
}

/** Posting, polling and commits beside the delays, over all hops. */
const SLACK_MS = 2_000;
/** An exit draws the delay of its ack itself; four means hold 98 % of the draws. */
const ACK_DELAY_MEANS = 4;
/** Share of trips that may come back in an honest mixnet; what is lost and late fits in the rest. */
export const RETURNED_SHARE = 0.9;
/**
 * How many of the last due trips are looked at, few for speed and many for sharpness. The alarm's 0.1 %
 * is shared among them. All 4 of 4 missing has a chance of 1e-4.
 */
const WINDOWS = [4, 20, 100] as const;
const ALARM_CHANCE = 0.001 / WINDOWS.length;
const DUE_MAX = 100;
/** Trips that avoid a node come back well where at least so likely; far from the alarm's chance. */
const EXPLAINED_CHANCE = 0.05;
/** Trips that are known at a time, due or not: at a trip of 22 s, all of 45 a second. */
const KEPT_MAX = 2_000;
/** Of them those that are due, newest first: late returns clear an alarm. Others are still on their way. */
const DUE_KEPT = KEPT_MAX / 2;

/**
 * When a trip should be back.
 * @param delayMs sum of the delays that the sender has drawn
 * @param ackDelayMeanMs mean of the delay that an exit draws for its ack; 0 for a loop without one
 */
export function tripDueMs(trip: {
  readonly sentMs: number;
  readonly delayMs: number;
  readonly ackDelayMeanMs: number;
}): number {
  return trip.sentMs + trip.delayMs + ACK_DELAY_MEANS * trip.ackDelayMeanMs + SLACK_MS;
}

/** P(at most `returned` of `due` come back) where each does with `share`. */
export function chanceOfAtMost(returned: number, due: number, share: number): number {
  let term = (1 - share) ** due;
  let sum = term;
  for (let k = 1; k <= returned; k++) {
    term *= ((due - k + 1) / k) * (share / (1 - share));
    sum += term;
  }
  return Math.min(1, sum);
}

interface KnownTrip extends Trip {
  returnedMs: number | null;
}

/** The trips of one node. */
export class Loops {
  readonly #me: string;
  /** In the order in which they were sent. */
  readonly #trips = new Map<string, KnownTrip>();

  /** @param me own peer id, both ends of every trip */
  constructor(me: string) {
    this.#me = me;
  }

  /**
   * Notes a trip that begins. Where more are on their way than are kept, this one is not watched: to
   * forget an older one before it is due would leave none to judge by, and no alarm at high rates.
   */
  sent(trip: Trip): void {
    if (this.#trips.size >= KEPT_MAX && !this.#forgetOldest(trip.sentMs)) return;
    this.#trips.set(trip.id, { ...trip, returnedMs: null });
  }

  /** Notes a return; false where the trip is not known (any more), or was back already. */
  returned(id: string, nowMs: number): boolean {
    const trip = this.#trips.get(id);
    if (trip === undefined || trip.returnedMs !== null) return false;
    trip.returnedMs = nowMs;
    return true;
  }

  /**
   * Whether fewer trips come back than chance allows (binomial, 0.1 %). One other node alone may be to
   * blame: where those trips that avoid it come back, it is that node which is down or drops, and what
   * reaches us is not cut off.
   */
  judge(nowMs: number): LoopVerdict {
    const due = this.#due(nowMs);
    const returned = due.filter(isBack).length;
    const window = alarmingWindow(due);
    const isAlarmed = window !== null && !isExplained(window);
    return { isAlarmed, returned, due: due.length };
  }

  /** What comes back, by node and link. */
  report(nowMs: number): LoopReport {
    const nodes = new Map<string, KnownTrip[]>();
    const links = new Map<string, KnownTrip[]>();
    for (const trip of this.#due(nowMs)) {
      for (const node of new Set(trip.nodes)) add(nodes, node, trip);
      const stops = [this.#me, ...trip.nodes, this.#me];
      const passed = stops.slice(1).map((to, i) => `${stops[i] ?? ''}>${to}`);
      for (const link of new Set(passed)) add(links, link, trip);
    }
    return { nodes: counted(nodes), links: counted(links) };
  }

  /** Forgets the oldest trip that is due; false, and nothing, where few are. */
  #forgetOldest(nowMs: number): boolean {
    const due = [...this.#trips.values()].filter(({ dueMs }) => dueMs <= nowMs);
    if (due.length <= DUE_KEPT) return false;
    return this.#trips.delete((due[0] as KnownTrip).id);
  }

  /** The last trips that are back or should be, oldest due first. */
  #due(nowMs: number): readonly KnownTrip[] {
    return [...this.#trips.values()]
      .filter((trip) => trip.dueMs <= nowMs)
      .toSorted((left, right) => left.dueMs - right.dueMs)
      .slice(-DUE_MAX);
  }
}

function isBack({ returnedMs }: KnownTrip): boolean {
  return returnedMs !== null;
}

function chanceOf(trips: readonly KnownTrip[]): number {
  return chanceOfAtMost(trips.filter(isBack).length, trips.length, RETURNED_SHARE);
}

/** The shortest of the windows in which too few came back; null where there is none. */
function alarmingWindow(due: readonly KnownTrip[]): readonly KnownTrip[] | null {
  for (const window of WINDOWS) {
    const last = due.slice(-window);
    if (last.length === window && chanceOf(last) < ALARM_CHANCE) return last;
  }
  return null;
}

/** Whether, since the first loss in the window, those trips that avoid some one node came back well. */
function isExplained(window: readonly KnownTrip[]): boolean {
  const firstLost = window.findIndex((trip) => !isBack(trip));
  const since = window.slice(firstLost);
  const suspects = new Set(since.filter((trip) => !isBack(trip)).flatMap(({ nodes }) => nodes));
  return [...suspects].some((node) => {
    const avoiding = since.filter(({ nodes }) => !nodes.includes(node));
    return avoiding.length >= WINDOWS[0] && chanceOf(avoiding) >= EXPLAINED_CHANCE;
  });
}

function add(lists: Map<string, KnownTrip[]>, name: string, trip: KnownTrip): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [trip]);
  else list.push(trip);
}

function counted(lists: ReadonlyMap<string, readonly KnownTrip[]>): Record<string, LoopCount> {
  const counts: Record<string, LoopCount> = {};
  for (const [name, trips] of lists) {
    const times = trips.flatMap(({ sentMs, returnedMs }) =>
      returnedMs === null ? [] : [returnedMs - sentMs],
    );
    const middle = times.toSorted((left, right) => left - right)[Math.floor(times.length / 2)];
    counts[name] = { due: trips.length, returned: times.length, roundTripMs: middle ?? null };
  }
  return counts;
}
