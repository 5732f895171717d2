/**
 * A mixnet in simulated time: gateways, mixes and links, driven by the product's own ticks, routes,
 * delays, retransmission and loops. What an observer of all wires sees is called out packet by packet;
 * what only the nodes know comes along for those who measure.
 */
import { afterSend } from '../mixnet/arq.ts';
import { drawDelayMs, drawExponentialMs, dueAfterStop } from '../mixnet/delay.ts';
import { drawUnit } from '../mixnet/draw.ts';
import { fragmentsOf, FRAGMENTS_MAX } from '../mixnet/fragment.ts';
import { drawHoldMs, nextHolding } from '../mixnet/hold.ts';
import { tripDueMs } from '../mixnet/loops.ts';
import { advanceTicks, startTicks, type TickClock } from '../mixnet/ticks.ts';
import { PRODUCT, type Behaviour } from './behaviour.ts';
import { fragmentsOfMail, type SimulatedMail, type WaitingFragment } from './mail.ts';
import {
  noCounts,
  type Counts,
  type CutOff,
  type NetworkOptions,
  type Outage,
  type Submission,
} from './network-options.ts';
import { SimulatedNode } from './node.ts';
import { drawLoop, drawTrip, type SimulatedPacket, type Way } from './packet.ts';
import { Schedule } from './schedule.ts';

const EXIT_DELAY_MEAN_MS = 20_000;
const LINK_MS = 20;

export class SimulatedNetwork {
  readonly counts: Counts = noCounts();
  /** All mails that were submitted, in that order. */
  readonly mails: SimulatedMail[] = [];
  readonly nodes: ReadonlyMap<string, SimulatedNode>;
  readonly #options: NetworkOptions;
  readonly #behaviour: Behaviour;
  readonly #schedule = new Schedule(0);
  readonly #linkRandom;
  readonly #linkMs: number;
  #tripCount = 0;

  /** Time starts at 0 ms, with empty mixes: let some mean delays pass before you measure. */
  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#behaviour = { ...PRODUCT, ...options.behaviour };
    this.#linkRandom = options.randomFor('links');
    this.#linkMs = options.linkMs ?? LINK_MS;
    const { directory, randomFor, faults = {} } = options;
    this.nodes = new Map(
      directory.nodes.map((node) => [node.peerId, new SimulatedNode(node, directory, randomFor)]),
    );
    for (const node of this.nodes.values()) this.#start(node);
    for (const outage of faults.outages ?? []) this.#planOutage(outage);
    for (const cutOff of faults.cutOffs ?? []) this.#planCutOff(cutOff);
  }

  get nowMs(): number {
    return this.#schedule.nowMs;
  }

  /** Plans a mail; those in the past arrive now. A gateway that is down takes it when it is back. */
  submit(submission: Submission): void {
    this.#schedule.at(submission.atMs, () => this.#take(submission));
  }

  /** Lets time pass up to a moment. */
  runUntil(untilMs: number): void {
    this.#schedule.runUntil(untilMs);
  }

  #start(node: SimulatedNode): void {
    const { judgeLoopsMs = 0 } = this.#options;
    if (node.isGateway) {
      const clock = startTicks(node.tickRandom, this.nowMs, this.#rate(node));
      this.#schedule.at(clock.dueMs, () => this.#tick(node, clock));
    } else {
      this.#planLoop(node);
    }
    if (this.#judges(node)) this.#planJudgement(node, judgeLoopsMs);
  }

  #judges({ peerId }: SimulatedNode): boolean {
    const { judgeLoopsMs = 0, judges } = this.#options;
    return judgeLoopsMs > 0 && (judges?.includes(peerId) ?? true);
  }

  #rate(node: SimulatedNode): number {
    const { ticksPerSecond } = this.#options.directory.traffic;
    return this.#behaviour.ticksPerSecond(ticksPerSecond, node.peerId, node.waiting());
  }

  #tick(node: SimulatedNode, clock: TickClock): void {
    if (node.isDown) {
      // A program that starts again starts its clock again.
      node.whenBack(() => {
        const fresh = startTicks(node.tickRandom, this.nowMs, this.#rate(node));
        this.#schedule.at(fresh.dueMs, () => this.#tick(node, fresh));
      });
      return;
    }
    this.#emit(node);
    const next = advanceTicks(node.tickRandom, clock, this.nowMs, this.#rate(node));
    this.#schedule.at(next.dueMs, () => this.#tick(node, next));
  }

  /** One tick: the exit first, then what waits for it or cover; either way a trip of its own. */
  #emit(node: SimulatedNode): void {
    const { directory } = this.#options;
    const { nowMs, counts } = this;
    counts.ticks += 1;
    const choice = this.#behaviour.decide(
      node.tickRandom,
      directory,
      nowMs,
      (exit) => node.outboundTo(exit).isWaiting(nowMs),
      node.peerId,
    );
    if (choice === null) return;
    const query = { directory, entry: node.peerId, exit: choice.exit, nowMs };
    const trip = drawTrip(node.tickRandom, query);
    if (trip.kind === 'none') return;
    const fragment = choice.take === 'fragment' ? node.outboundTo(choice.exit).take() : null;
    counts[choice.take === 'fragment' ? 'fragments' : 'cover'] += 1;
    if (fragment !== null) this.#noteSend(node, choice.exit, fragment, trip.delayMs);
    const tripId = this.#noteTrip(node, trip);
    this.#send(node.peerId, 0, {
      kind: choice.take,
      from: node.peerId,
      way: trip.out,
      back: trip.back,
      fragment,
      tripId,
      sentMs: nowMs,
      seen: 0,
      held: 0,
    });
  }

  /** Its history, and when it joins the queue again; an ack that comes first makes that nothing. */
  #noteSend(
    node: SimulatedNode,
    exit: string,
    fragment: WaitingFragment,
    tripDelayMs: number,
  ): void {
    const { delayMeanMs } = this.#options.directory.traffic;
    const sent = { nowMs: this.nowMs, tripDelayMs, delayMeanMs };
    if (fragment.sends.count > 0) this.counts.resends += 1;
    fragment.sends = afterSend(node.resendRandom, fragment.sends, sent);
    fragment.mail.sends += 1;
    this.#schedule.at(fragment.sends.againAtMs, () => {
      if (!fragment.isAcked) node.outboundTo(exit).add(fragment);
    });
  }

  #planLoop(node: SimulatedNode): void {
    const { directory } = this.#options;
    const waitMs = drawExponentialMs(node.tickRandom, 1000 / directory.traffic.loopsPerSecond);
    this.#schedule.at(this.nowMs + waitMs, () => {
      if (!node.isDown) this.#loop(node);
      this.#planLoop(node);
    });
  }

  #loop(node: SimulatedNode): void {
    const { directory } = this.#options;
    const way = drawLoop(node.tickRandom, { directory, me: node.peerId, nowMs: this.nowMs });
    if (way === null) return;
    this.counts.loops += 1;
    const tripId = this.#noteTrip(node, { nodes: way.nodes.slice(0, -1), delayMs: way.delayMs });
    this.#send(node.peerId, 0, {
      kind: 'loop',
      from: node.peerId,
      way,
      back: null,
      fragment: null,
      tripId,
      sentMs: this.nowMs,
      seen: 0,
      held: 0,
    });
  }

  #noteTrip(
    node: SimulatedNode,
    trip: { readonly nodes: readonly string[]; readonly delayMs: number },
  ): string {
    const id = String(this.#tripCount++);
    const { directory } = this.#options;
    if (this.#judges(node)) {
      const sentMs = this.nowMs;
      const ackDelayMeanMs = node.isGateway ? directory.traffic.delayMeanMs : 0;
      const dueMs = tripDueMs({ sentMs, delayMs: trip.delayMs, ackDelayMeanMs });
      node.loops.sent({ id, nodes: trip.nodes, sentMs, dueMs });
    }
    return id;
  }

  #planJudgement(node: SimulatedNode, everyMs: number): void {
    this.#schedule.at(this.nowMs + everyMs, () => {
      if (!node.isDown) {
        node.noteAlarm(node.loops.judge(this.nowMs).isAlarmed);
        this.counts.judgements += 1;
        if (node.alarm !== null) this.counts.alarms += 1;
      }
      this.#planJudgement(node, everyMs);
    });
  }

  /** Puts a packet on the link to the node at a place of its way. */
  #send(from: string, place: number, packet: SimulatedPacket): void {
    const { faults = {}, onWire, packetBytes } = this.#options;
    const { loss = 0, duplication = 0 } = faults;
    const to = packet.way.nodes[place] as string;
    this.counts.hops += 1;
    onWire?.({ atMs: this.nowMs, from, to, bytes: packetBytes }, packet);
    if (loss > 0 && drawUnit(this.#linkRandom) <= loss) {
      this.counts.lost += 1;
      return;
    }
    const node = this.nodes.get(to) as SimulatedNode;
    const arrivesMs = this.nowMs + this.#linkMs;
    this.#schedule.at(arrivesMs, () => this.#arrive(node, place, packet));
    if (duplication > 0 && drawUnit(this.#linkRandom) <= duplication) {
      this.#schedule.at(arrivesMs, () => this.#arrive(node, place, packet));
    }
  }

  #arrive(node: SimulatedNode, place: number, packet: SimulatedPacket): void {
    if (node.isDown) {
      // It waits in the INBOX, and its delay counts from when it is collected.
      node.whenBack(this.#unlessForgotten(node, () => this.#arrive(node, place, packet)));
      return;
    }
    if (node.isCutOff) {
      node.whenHandedOut(() => this.#arrive(node, place, packet));
      return;
    }
    if ((packet.seen & (1 << place)) !== 0) {
      this.counts.replayed += 1;
      return;
    }
    packet.seen |= 1 << place;
    this.#options.onTaken?.(this.nowMs, node.peerId, packet);
    const delayMs = packet.way.delaysMs[place];
    if (delayMs === undefined) {
      this.#end(node, packet);
      return;
    }
    this.#forward(node, place + 1, packet, this.nowMs + delayMs);
  }

  /** Sends a packet of others on when it is due, and what else may come between. */
  #forward(node: SimulatedNode, place: number, packet: SimulatedPacket, dueMs: number): void {
    const { delayMeanMs } = this.#options.directory.traffic;
    const act = (): void => {
      if (node.isDown) {
        const again = (): void => {
          const due = { dueMs, nowMs: this.nowMs, meanMs: delayMeanMs };
          this.#forward(node, place, packet, dueAfterStop(node.forwardRandom, due));
        };
        node.whenBack(this.#unlessForgotten(node, again));
        return;
      }
      const holdMs = (packet.held & (1 << place)) === 0 ? this.#holdMs(node) : null;
      if (holdMs === null) {
        this.#send(node.peerId, place, packet);
        return;
      }
      packet.held |= 1 << place;
      this.counts.held += 1;
      this.#forward(node, place, packet, this.nowMs + holdMs);
    };
    this.#schedule.at(dueMs, this.#unlessForgotten(node, act));
  }

  /** How long an alarmed node keeps a packet of others once more; null where it does not. */
  #holdMs(node: SimulatedNode): number | null {
    const { alarm } = node;
    if (alarm === null) return null;
    const now = { nowMs: this.nowMs, delayMeanMs: this.#options.directory.traffic.delayMeanMs };
    node.holding = nextHolding(node.holding, { alarm, ...now });
    return drawHoldMs(node.forwardRandom, node.holding, now);
  }

  /** What is to be done with a packet that a node has, if it still has it then. */
  #unlessForgotten(node: SimulatedNode, act: () => void): () => void {
    const { memory } = node;
    return () => {
      if (node.memory === memory) act();
      else this.counts.lost += 1;
    };
  }

  /** A packet at the last node of its way. */
  #end(node: SimulatedNode, packet: SimulatedPacket): void {
    if (packet.kind === 'ack' || packet.kind === 'loop') {
      if (packet.fragment !== null) packet.fragment.isAcked = true;
      node.loops.returned(packet.tripId, this.nowMs);
      return;
    }
    if (packet.fragment !== null) this.#keep(node, packet.fragment);
    if (packet.back !== null && this.#behaviour.answers(packet, node.peerId)) {
      this.#answer(node, packet, packet.back);
    }
  }

  #answer(node: SimulatedNode, packet: SimulatedPacket, way: Way): void {
    const { delayMeanMs } = this.#options.directory.traffic;
    this.counts.acks += 1;
    const { fragment, tripId, sentMs } = packet;
    const from = node.peerId;
    const ack = { kind: 'ack', from, way, back: null, fragment, tripId, sentMs } as const;
    const dueMs = this.nowMs + drawDelayMs(node.forwardRandom, delayMeanMs);
    this.#forward(node, 0, { ...ack, seen: 0, held: 0 }, dueMs);
  }

  /** An exit keeps a fragment; the last one of a mail lets it be delivered after a while. */
  #keep(node: SimulatedNode, fragment: WaitingFragment): void {
    const { mail } = fragment;
    if (fragment.isKept) {
      this.counts.duplicates += 1;
      return;
    }
    fragment.isKept = true;
    mail.kept += 1;
    mail.firstKeptMs ??= this.nowMs;
    if (mail.kept < mail.fragments) return;
    mail.keptMs = this.nowMs;
    const { exitDelayMeanMs = EXIT_DELAY_MEAN_MS, onDelivered } = this.#options;
    this.#schedule.at(this.nowMs + drawDelayMs(node.exitRandom, exitDelayMeanMs), () => {
      mail.deliveredMs = this.nowMs;
      onDelivered?.(mail);
    });
  }

  #take(submission: Submission): void {
    const { from, to, bytes } = submission;
    const { directory, geometry } = this.#options;
    const node = this.nodes.get(from);
    if (node === undefined || !this.nodes.get(to)?.isGateway) {
      throw new RangeError(`no gateways ${from} and ${to}`);
    }
    if (node.isDown) {
      node.whenBack(() => this.#take(submission));
      return;
    }
    const fragments = fragmentsOf(bytes, geometry);
    if (fragments > FRAGMENTS_MAX) {
      this.counts.tooLarge += 1;
      return;
    }
    const mail: SimulatedMail = {
      from,
      to,
      bytes,
      fragments,
      submittedMs: submission.atMs,
      expiryMs: this.nowMs + directory.traffic.expiryMs,
      firstKeptMs: null,
      keptMs: null,
      deliveredMs: null,
      kept: 0,
      sends: 0,
    };
    this.mails.push(mail);
    for (const fragment of fragmentsOfMail(mail)) node.outboundTo(to).add(fragment);
  }

  #planOutage({ node: name, fromMs, untilMs, forgets = false }: Outage): void {
    const node = this.#nodeOf(name);
    this.#schedule.at(fromMs, () => {
      node.isDown = true;
    });
    this.#schedule.at(untilMs, () => node.resume(forgets));
  }

  #planCutOff({ node: name, fromMs, untilMs }: CutOff): void {
    const node = this.#nodeOf(name);
    this.#schedule.at(fromMs, () => {
      node.isCutOff = true;
    });
    this.#schedule.at(untilMs, () => node.handOut());
  }

  #nodeOf(name: string): SimulatedNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new RangeError(`no node ${name}`);
    return node;
  }
}
