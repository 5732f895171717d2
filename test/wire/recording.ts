/**
 * What somebody who records every link between the nodes has: when something passed, between whom, and
 * how long it was. Runs of it, each wholly with mail or wholly idle, are all that the wire test judges.
 */

/** One packet, or one request, on a link. */
export interface WireEvent {
  /** When it passed: ms on any one clock; fractions count. */
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  /** Its length on the wire. */
  readonly bytes: number;
}

/** One stretch of time over which somebody recorded. */
export interface Run {
  /** Whether mail flowed from the first watched gateway to the second. */
  readonly hasMail: boolean;
  readonly startMs: number;
  readonly endMs: number;
  /** In order of time; what lies outside the run's time is not looked at. */
  readonly events: readonly WireEvent[];
}

/** Who is watched, and by which public figures. */
export interface Watched {
  /** All gateways: first the one that may be sending, then the one that may be receiving. */
  readonly gateways: readonly string[];
  readonly mixes: readonly string[];
  /** The snapshot's mean delay at a mix: how far back an observer looks for causes. */
  readonly delayMeanMs: number;
  /** Windows are this long; what is left at the end of a run is not used. */
  readonly windowMs: number;
}

/** One window: times of each link and lengths, relative to the window's start. */
export interface Window {
  readonly watched: Watched;
  readonly events: readonly WireEvent[];
  readonly startMs: number;
}

/** Cuts a run into windows of equal length. */
export function windowsOf(watched: Watched, run: Run): Window[] {
  const { windowMs } = watched;
  const count = Math.floor((run.endMs - run.startMs) / windowMs);
  const cut: WireEvent[][] = Array.from({ length: count }, () => []);
  for (const event of run.events) {
    cut[Math.floor((event.atMs - run.startMs) / windowMs)]?.push(event);
  }
  return cut.map((events, i) => ({ watched, events, startMs: run.startMs + i * windowMs }));
}
