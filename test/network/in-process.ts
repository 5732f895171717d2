/**
 * A mixnet in one process: a fake clock, seeded randomness, and the pure folders that the mix server
 * runs too. Redis, controllers and sockets are replaced by maps that keep what those would keep: an
 * inbox and records survive a stopped node, its memory does not.
 */
import { equalBytes, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Primitives, Random } from '../../src/crypto/primitives.ts';
import { buildAck, readAck, type AckVerdict } from '../../src/mixnet/ack.ts';
import { afterSend, decideSend, NEVER_SENT } from '../../src/mixnet/arq.ts';
import { assembleMail } from '../../src/mixnet/assemble.ts';
import { drawDelayMs, dueAfterStop } from '../../src/mixnet/delay.ts';
import type { Directory, Traffic } from '../../src/mixnet/directory.ts';
import { nodeByAddress } from '../../src/mixnet/directory.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import type { Fragment } from '../../src/mixnet/fragment.ts';
import { geometryOf, type Geometry } from '../../src/mixnet/geometry.ts';
import {
  openBody,
  openHeader,
  type MixOutcome,
  type MixView,
  type Reply,
} from '../../src/mixnet/mix.ts';
import { fragmentMail, prepareCover, prepareFragment } from '../../src/mixnet/prepare.ts';
import { advanceTicks, decideTick, startTicks } from '../../src/mixnet/ticks.ts';
import { createSphinx, type Sphinx, type SphinxParams } from '../../src/sphinx/index.ts';
import { madeDirectory, NOW_MS } from '../mixnet/made-directory.ts';
import { seededRandom } from '../mixnet/seeded-random.ts';
import { createNode, type NetworkNode, type WaitingFragment } from './in-process-node.ts';

export type { NetworkNode } from './in-process-node.ts';

/** Mean wait of an exit between the last fragment and delivery: short, for cover is built meanwhile. */
const EXIT_DELAY_MEAN_MS = 1000;
/** Pause before a packet is posted again to a controller that does not answer. */
const LINK_RETRY_MS = 1000;

export interface NetworkOptions {
  readonly seed: number;
  readonly mixes?: number;
  readonly gateways?: number;
  readonly params?: SphinxParams;
  readonly traffic?: Partial<Traffic>;
}

/** Mixes and gateways with a clock that only `run` moves. */
export class InProcessNetwork {
  readonly random: Random;
  readonly primitives: Primitives;
  readonly sphinx: Sphinx;
  readonly geometry: Geometry;
  readonly mixes: readonly NetworkNode[];
  readonly gateways: readonly NetworkNode[];
  directory: Directory;
  nowMs = NOW_MS;
  /** Every packet posted, by whom and to whom: what one who records the links would see. */
  readonly seen: { readonly from: string; readonly to: string; readonly bytes: number }[] = [];
  readonly #events: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;

  constructor(options: NetworkOptions) {
    this.random = seededRandom(options.seed);
    this.primitives = { ...native, random: this.random };
    const params = options.params ?? { group: 'X25519', headerLen: 320, bodyLen: 2048 };
    this.sphinx = createSphinx(params, this.primitives);
    this.geometry = geometryOf(this.sphinx);
    const mixes = options.mixes ?? 6;
    this.mixes = Array.from({ length: mixes }, (_, i) => createNode(this.primitives, i, 'mix'));
    this.gateways = Array.from({ length: options.gateways ?? 4 }, (_, i) =>
      createNode(this.primitives, mixes + i, 'gateway'),
    );
    const made = madeDirectory(
      this.nodes.map(({ entry }) => entry),
      { params },
    );
    this.directory = { ...made, traffic: { ...made.traffic, ...options.traffic } };
    for (const gateway of this.gateways) this.#startClock(gateway);
  }

  get nodes(): readonly NetworkNode[] {
    return [...this.mixes, ...(this.gateways ?? [])];
  }

  /** Takes a mail in at one gateway for the domain of another. */
  accept(
    from: NetworkNode,
    to: NetworkNode,
    data: Uint8Array,
    over: Partial<Envelope> = {},
  ): Envelope {
    const envelope: Envelope = {
      mixnet: this.directory.mixnetId,
      messageId: toHex(this.random(16)),
      exit: to.identity.peerId,
      gateway: from.identity.peerId,
      from: `alice@${from.entry.domains[0]}`,
      recipients: [{ address: `bob@${to.entry.domains[0]}`, notify: 'FAILURE' }],
      body: '8BITMIME',
      smtputf8: false,
      bytes: data.length,
      sha256: toHex(this.primitives.sha256(data)),
      expiryMs: this.nowMs + this.directory.traffic.expiryMs,
      ...over,
    };
    const signed = signEnvelope(this.primitives, from.identity, envelope);
    const fragments = fragmentMail(envelope, signed, data, this.geometry);
    from.outbound.set(envelope.exit, [
      ...(from.outbound.get(envelope.exit) ?? []),
      ...fragments.map((fragment) => ({ fragment, sends: NEVER_SENT })),
    ]);
    return envelope;
  }

  /** Lets time pass. */
  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      const next = this.#takeNext(untilMs);
      if (next === null) break;
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  /** Lets time pass until `done` or the end; false where it was not done by then. */
  runUntil(done: () => boolean, limitMs: number): boolean {
    const endMs = this.nowMs + limitMs;
    while (!done() && this.nowMs < endMs) this.run(1000);
    return done();
  }

  stop(node: NetworkNode): void {
    node.running = false;
  }

  /** Starts a node again: from its records, then from what its controller kept. */
  start(node: NetworkNode): void {
    node.running = true;
    node.starts += 1;
    for (const [record, held] of node.records) {
      const meanMs = this.directory.traffic.delayMeanMs;
      const dueMs = dueAfterStop(this.random, { dueMs: held.dueMs, nowMs: this.nowMs, meanMs });
      this.#atOf(node, dueMs, () => this.#forward(node, record));
    }
    if (node.entry.roles.includes('gateway')) this.#startClock(node);
    this.#collect(node);
  }

  /** Puts a packet into a node's inbox, as any peer of the directory may. */
  post(from: string, endpointAddress: Uint8Array, packet: Uint8Array): boolean {
    const found = nodeByAddress(this.directory, endpointAddress);
    const node = this.nodes.find(({ entry }) => entry.peerId === found?.node.peerId);
    if (node === undefined || !node.controllerAnswers) return false;
    this.seen.push({ from, to: node.identity.peerId, bytes: packet.length });
    node.inbox.push(packet);
    this.#collect(node);
    return true;
  }

  #startClock(gateway: NetworkNode): void {
    const { ticksPerSecond } = this.directory.traffic;
    let clock = startTicks(this.random, this.nowMs, ticksPerSecond);
    const tick = (): void => {
      this.#tick(gateway);
      clock = advanceTicks(this.random, clock, this.nowMs, ticksPerSecond);
      this.#atOf(gateway, clock.dueMs, tick);
    };
    this.#atOf(gateway, clock.dueMs, tick);
  }

  #tick(gateway: NetworkNode): void {
    const { directory, random, nowMs } = this;
    const ready = (exit: string): WaitingFragment | undefined =>
      gateway.outbound.get(exit)?.find(({ fragment, sends }) => {
        return decideSend(sends, nowMs, fragment.expiryMs).kind === 'send';
      });
    const choice = decideTick(random, directory, nowMs, (exit) => ready(exit) !== undefined);
    if (choice === null) return;
    const { exit } = choice;
    const query = { directory, entry: gateway.identity.peerId, exit, nowMs };
    const waiting = choice.take === 'fragment' ? ready(exit) : undefined;
    const prepared = waiting
      ? prepareFragment(this.sphinx, this.geometry, random, query, waiting.fragment)
      : prepareCover(this.sphinx, this.geometry, random, query);
    if (prepared.kind === 'none') return;
    const { reply, trip, packet, first } = prepared;
    const { delayMeanMs } = directory.traffic;
    if (waiting) {
      const sent = { nowMs, tripDelayMs: trip.delayMs, delayMeanMs };
      waiting.sends = afterSend(random, waiting.sends, sent);
    }
    const carried = waiting ? { exit, waiting } : null;
    gateway.sent.set(toHex(reply.id), { keytuple: reply.keytuple, carried });
    count(gateway, waiting ? 'sent-fragment' : 'sent-cover');
    this.#hold(gateway, { packet, next: first.endpoint.address, dueMs: nowMs });
  }

  #collect(node: NetworkNode): void {
    while (node.running && node.inbox.length > 0) {
      const outcome = this.#open(node, node.inbox.shift() as Uint8Array);
      count(node, 'reason' in outcome ? outcome.reason : outcome.kind);
      if (outcome.kind === 'forward') this.#hold(node, outcome);
      if (outcome.kind === 'fragment') this.#keep(node, outcome.fragment);
      if ('replyBlock' in outcome) {
        this.#answer(node, outcome.replyBlock, outcome.kind === 'untimely' ? 'refused' : 'kept');
      }
      if (outcome.kind === 'reply') this.#settle(node, outcome);
    }
  }

  #answer(node: NetworkNode, replyBlock: Uint8Array, verdict: AckVerdict): void {
    const ack = buildAck(this.sphinx, replyBlock, verdict);
    if (ack === null) return;
    const delayMs = drawDelayMs(this.random, this.directory.traffic.delayMeanMs);
    this.#hold(node, { ...ack, dueMs: this.nowMs + delayMs });
  }

  #settle(node: NetworkNode, { id, delta }: Reply): void {
    const sent = node.sent.get(toHex(id));
    const verdict = sent === undefined ? null : readAck(this.sphinx, sent.keytuple, delta);
    if (sent === undefined || verdict === null) {
      count(node, sent === undefined ? 'reply-unknown' : 'reply-malformed');
      return;
    }
    node.sent.delete(toHex(id));
    if (sent.carried === null || verdict === 'refused') return;
    const { exit, waiting } = sent.carried;
    const left = node.outbound.get(exit)?.filter((one) => one !== waiting) ?? [];
    node.outbound.set(exit, left);
  }

  #open(node: NetworkNode, packet: Uint8Array): MixOutcome {
    const view: MixView = {
      sphinx: this.sphinx,
      geometry: this.geometry,
      directory: this.directory,
      isMix: node.entry.roles.includes('mix'),
      isExit: node.entry.roles.includes('gateway'),
    };
    const opened = openHeader(view, node.mixSecret, packet);
    if (opened.kind === 'drop') return opened;
    const verdict = node.replays.commit('endpoint', opened.header.tag);
    if (verdict !== 'committed') return { kind: 'drop', reason: verdict };
    return openBody(view, opened.header, this.nowMs);
  }

  #hold(node: NetworkNode, held: { packet: Uint8Array; next: Uint8Array; dueMs: number }): void {
    const record = this.#order++;
    node.records.set(record, held);
    this.#atOf(node, held.dueMs, () => this.#forward(node, record));
  }

  #forward(node: NetworkNode, record: number): void {
    const held = node.records.get(record);
    if (held === undefined) return;
    const sent = node
      .tamper(held.packet)
      .map((packet) => this.post(node.identity.peerId, held.next, packet));
    if (sent.every(Boolean)) node.records.delete(record);
    else this.#atOf(node, this.nowMs + LINK_RETRY_MS, () => this.#forward(node, record));
  }

  #keep(node: NetworkNode, fragment: Fragment): void {
    const id = toHex(fragment.messageId);
    const parts = node.fragments.get(id) ?? new Map<number, Fragment>();
    node.fragments.set(id, parts.set(fragment.index, fragment));
    if (parts.size < fragment.total || node.assembling.has(id)) return;
    node.assembling.add(id);
    const delayMs = drawDelayMs(this.random, EXIT_DELAY_MEAN_MS);
    this.#at(this.nowMs + delayMs, () => this.#deliver(node, fragment.messageId));
  }

  #deliver(node: NetworkNode, messageId: Uint8Array): void {
    // The job is on disk: a stopped node does it when it runs again.
    if (!node.running) {
      this.#at(this.nowMs + LINK_RETRY_MS, () => this.#deliver(node, messageId));
      return;
    }
    const parts = [...(node.fragments.get(toHex(messageId))?.values() ?? [])];
    const view = {
      primitives: this.primitives,
      directory: this.directory,
      me: node.identity.peerId,
      acceptsDomain: () => false,
      nowMs: this.nowMs,
    };
    const inOrder = parts.toSorted((left, right) => left.index - right.index);
    const mail = assembleMail(
      view,
      (id) => equalBytes(id, messageId),
      inOrder.map(({ bytes }) => bytes),
    );
    count(node, mail.kind === 'refused' ? mail.reason : mail.kind);
    if (mail.kind === 'mail') node.delivered.push({ ...mail, atMs: this.nowMs });
  }

  /** Schedules what only the memory of a running node knows. */
  #atOf(node: NetworkNode, atMs: number, run: () => void): void {
    const { starts } = node;
    this.#at(atMs, () => {
      if (node.running && node.starts === starts) run();
    });
  }

  #at(atMs: number, run: () => void): void {
    this.#events.push({ atMs, order: this.#order++, run });
  }

  #takeNext(untilMs: number): { atMs: number; run: () => void } | null {
    let first = -1;
    for (const [i, event] of this.#events.entries()) {
      const best = this.#events[first];
      if (best === undefined || event.atMs < best.atMs) first = i;
    }
    const event = this.#events[first];
    if (event === undefined || event.atMs > untilMs) return null;
    this.#events.splice(first, 1);
    return event;
  }
}

function count(node: NetworkNode, name: string): void {
  node.counts.set(name, (node.counts.get(name) ?? 0) + 1);
}
