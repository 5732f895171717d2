/**
 * An n-1 attack: the controller of a mix hands out nothing until the mix has sent on what it had, then one
 * packet alone, to see where it goes. Among what is held are the loops of the mix, and when too few
 * of them come back it keeps the packet longer (mixnet/loops.ts). How often does it notice in time?
 */
import type { RandomFor } from './seeded.ts';
import { SimulatedNetwork } from './network.ts';
import type { NetworkOptions } from './network-options.ts';
import { Sample, spreadOf, type Spread } from './sample.ts';

/** What comes of waiting so long before the target is passed. */
export interface FlushOutcome {
  /** How long the controller holds everything before it passes the target. */
  readonly flushMs: number;
  /** Share of targets that the mix has not sent on when it notices. */
  readonly noticed: number;
  /** Packets of before that are still in the mix with the target, on average: they hide it. */
  readonly beside: number;
  /** Share of trials in which what leaves first is the target, and nothing was noticed until then. */
  readonly succeeds: number;
}

export interface AttackReport {
  readonly trials: number;
  /** From the first packet held to the alarm; trials without any alarm are left out. */
  readonly alarmMs: Spread;
  /** Share of trials in which there was none within `GIVE_UP_MS`. */
  readonly neverNoticed: number;
  readonly byFlush: readonly FlushOutcome[];
}

/** The mix's last 100 loops are then of the time before. */
const WARM_UP_MS = 300_000;
const GIVE_UP_MS = 300_000;
/** As often as the mix server asks its loops. */
const JUDGE_MS = 250;

/** The mix whose controller is hostile, and what was tried. */
export interface AttackOptions {
  readonly network: Omit<NetworkOptions, 'randomFor' | 'faults' | 'onWire' | 'onTaken'>;
  readonly mix: string;
  readonly trials: number;
  readonly flushesMs: readonly number[];
  /** Streams of one trial. */
  readonly randomFor: (trial: number) => RandomFor;
  readonly onTrial?: (trial: number) => void;
}

/**
 * Tries it many times. When the alarm comes does not depend on when the target is passed, so each trial
 * serves for all flush times: with a delay of mean m a target that is passed at time f is still
 * there at the alarm at time a with a chance of e^-((a - f) / m).
 */
export function attackTrials(options: AttackOptions): AttackReport {
  const { trials, flushesMs, onTrial, network } = options;
  const { delayMeanMs, loopsPerSecond } = network.directory.traffic;
  const alarms: number[] = [];
  const here = new Sample();
  for (let trial = 0; trial < trials; trial++) {
    const { alarmMs, packets } = attackOnce(options, trial);
    alarms.push(alarmMs);
    here.add(packets);
    onTrial?.(trial);
  }
  const finite = new Sample();
  for (const alarmMs of alarms) if (Number.isFinite(alarmMs)) finite.add(alarmMs);
  const byFlush = flushesMs.map((flushMs) => {
    const noticed = mean(alarms.map((alarmMs) => stillThere(alarmMs - flushMs, delayMeanMs)));
    const beside = (here.mean ?? 0) * stillThere(flushMs, delayMeanMs);
    const loops = (loopsPerSecond * delayMeanMs) / 1000;
    return { flushMs, noticed, beside, succeeds: (1 - noticed) * firstOf(beside, loops) };
  });
  const neverNoticed = 1 - finite.count / trials;
  return { trials, alarmMs: spreadOf(finite), neverNoticed, byFlush };
}

function attackOnce(
  { network: options, mix, randomFor }: AttackOptions,
  trial: number,
): { readonly alarmMs: number; readonly packets: number } {
  let packets = 0;
  const cutOff = { node: mix, fromMs: WARM_UP_MS, untilMs: Infinity };
  const network = new SimulatedNetwork({
    ...options,
    randomFor: randomFor(trial),
    // It notes its loops from the start; here is asked what they say, from the first packet held.
    judgeLoopsMs: WARM_UP_MS + GIVE_UP_MS,
    judges: [mix],
    faults: { cutOffs: [cutOff] },
    onTaken: (_atMs, node, packet) => {
      if (node === mix && packet.way.nodes.at(-1) !== mix) packets += 1;
    },
    onWire: ({ from }, packet) => {
      if (from === mix && packet.from !== mix) packets -= 1;
    },
  });
  network.runUntil(WARM_UP_MS);
  const present = packets;
  const loops = network.nodes.get(mix)?.loops;
  while (network.nowMs < WARM_UP_MS + GIVE_UP_MS) {
    network.runUntil(network.nowMs + JUDGE_MS);
    if (loops?.judge(network.nowMs).isAlarmed === true) {
      return { alarmMs: network.nowMs - WARM_UP_MS, packets: present };
    }
  }
  return { alarmMs: Infinity, packets: present };
}

/**
 * P(of the target, a Poisson number of others in the mix, and the loops that the mix itself begins, the
 * target is what leaves first): each packet leaves at the same rate, so 1 in 1 + others + loops.
 * @param beside mean number of others
 * @param loops loops that the mix begins within a mean delay
 */
export function firstOf(beside: number, loops: number): number {
  let chance = Math.exp(-beside);
  let sum = 0;
  for (let others = 0; others < 20 + 4 * beside; others++) {
    sum += chance / (1 + others + loops);
    chance *= beside / (others + 1);
  }
  return sum;
}

function stillThere(afterMs: number, delayMeanMs: number): number {
  return afterMs <= 0 ? 1 : Math.exp(-afterMs / delayMeanMs);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
