/**
 * A node at work, as far as Redis sees it: mail accepted, cut and sent on ticks, others' packets held and
 * passed on, fragments kept and acked, answers taken in. The stores, queues and steps are the product's;
 * packets are random bytes, and whoever would be posted to takes them at once.
 */
import { randomBytes } from 'node:crypto';

import { concat, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry, Onward, Outcome } from '../../src/redis/journal.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import type { JobQueue } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import type { SentPacket } from '../../src/redis/sent-store.ts';
import { openTaker } from '../../src/redis/taker.ts';
import { until } from './private-redis.ts';
import type { Needle } from './search-bytes.ts';

const PACKET_BYTES = 2_000;
const ENDPOINT = 'mix_0123456789abcdef';
const EXIT = toHex(bytes(32));
const OUTBOUND = `outbound-${EXIT}` as const;
const HOUR_MS = 3_600_000;

/** A packet that came, and what became of it. */
export interface Passed {
  readonly tag: Uint8Array;
  readonly recordId: string;
  /** Null where it ended here without an answer. */
  readonly onward: Uint8Array | null;
}

export class BusyNode {
  readonly endpointId = ENDPOINT;
  readonly nodeKey = bytes(32);
  readonly endpointKey = bytes(32);
  readonly records: Records;
  readonly journal: Journal;
  readonly fragments: FragmentStore;
  readonly sent: SentStore;
  /** What has left, what waits, and what of mail must not be seen. */
  readonly gone: Passed[] = [];
  readonly waiting: Passed[] = [];
  readonly secrets: Needle[] = [];
  /** Packets of its own that have left. */
  readonly own: { readonly recordId: string; readonly packet: Uint8Array }[] = [];
  readonly #store: Store;
  #posted = 0;

  constructor(store: Store) {
    this.#store = store;
    const { nodeKey: storageKey } = this;
    this.records = new Records(store, {
      primitives: native,
      storageKeys: (owner) => (owner === ENDPOINT ? this.endpointKey : storageKey),
    });
    this.fragments = new FragmentStore(store, { primitives: native, storageKey });
    this.sent = new SentStore(store, { primitives: native, storageKey, records: this.records });
    this.journal = new Journal(store, { records: this.records, fragments: this.fragments });
  }

  /** Works until all that is due is done. */
  async work(): Promise<void> {
    const mixing = await openQueue(this.#store, 'mixing');
    const worker = await openWorker(this.#store, 'mixing', async ({ id, failures }) => {
      if ((await this.records.load(id)) === null) return undefined;
      // Every kind of end that posting has: refused, busy, and at last taken.
      if (failures === 0 && id.startsWith('0')) throw new Error('the next hop does not answer');
      if (id.startsWith('1') && Math.random() < 0.5) return { againAtMs: Date.now() + 20 };
      await this.records.remove(id);
      this.#posted++;
      return undefined;
    });
    await this.#passOn(mixing);
    await this.#keepFragments(mixing);
    await this.#sendMail(mixing);
    await until(() => this.#posted === this.gone.length + this.own.length);
    await worker.close();
  }

  async #passOn(mixing: JobQueue): Promise<void> {
    for (let batch = 0; batch < 6; batch++) {
      const dueMs = Date.now() + (batch < 4 ? 200 : HOUR_MS);
      const to = batch < 4 ? this.gone : this.waiting;
      await this.#commit(
        times(16, () => ({ kind: 'forward', ...onward(dueMs) })),
        to,
        mixing,
      );
    }
  }

  /** One message that is delivered, one that waits for parts; cover; all of them answered. */
  async #keepFragments(mixing: JobQueue): Promise<void> {
    for (const [total, come] of [
      [3, 3],
      [5, 2],
    ] as const) {
      const messageId = bytes(16);
      const expiryMs = Date.now() + 5 * 24 * HOUR_MS;
      const parts = times(come, () => bytes(900));
      this.secrets.push({ name: `message id of ${total}`, bytes: messageId });
      this.secrets.push(
        ...parts.map((part, i) => ({ name: `part ${i} of ${total}`, bytes: part })),
      );
      const outcomes = parts.map((part, index): Outcome => {
        const fragment = { messageId, index, total, expiryMs, bytes: part };
        return { kind: 'fragment', fragment, ack: onward(Date.now() + 100) };
      });
      await this.#commit(outcomes, this.gone, mixing);
    }
    const cover = times(8, (): Outcome => ({ kind: 'forward', ...onward(Date.now() + 100) }));
    await this.#commit(cover, this.gone, mixing);
    for (const id of await this.fragments.complete()) await this.fragments.markDelivered(id);
  }

  async #sendMail(mixing: JobQueue): Promise<void> {
    const { nodeKey: storageKey } = this;
    const mails = await MailStore.open(this.#store, { primitives: native, storageKey });
    const outbound = await openQueue(this.#store, OUTBOUND);
    const taker = await openTaker(this.#store, OUTBOUND);
    const text =
      'From: alice@sender.example\r\nTo: bob@recipient.example\r\nSubject: the merger\r\n';
    const mail = {
      messageId: toHex(bytes(16)),
      envelope: encode('MAIL FROM:<alice@sender.example> RCPT TO:<bob@recipient.example>'),
      data: concat(encode(text), bytes(900)),
    };
    for (const secret of ['alice@sender.example', 'bob@recipient.example', 'Subject: the merger'])
      this.secrets.push({ name: secret, bytes: encode(secret) });
    await mails.accept(mail);
    const cutting = await openWorker(this.#store, 'mail', async ({ id }) => {
      await this.#cut(outbound, encode(text));
      await mails.remove(id);
    });
    await until(async () => (await mails.load(mail.messageId)) === null);
    await cutting.close();
    for (let tick = 0; tick < 8; tick++) {
      const job = tick % 2 === 0 ? await taker.take() : null;
      const replyId = await this.#tick(mixing, job?.id ?? null);
      await job?.again(Date.now() + HOUR_MS);
      // Every other fragment is acked; the rest waits for its next time.
      if (job === null || tick % 4 === 0) continue;
      const { fragmentId } = (await this.sent.load(replyId)) as SentPacket;
      await this.sent.settle(replyId);
      await outbound.remove(fragmentId ?? '');
      await this.#commit([{ kind: 'none' }], [], mixing);
    }
    await taker.close();
  }

  async #cut(outbound: JobQueue, text: Uint8Array): Promise<void> {
    for (let part = 0; part < 4; part++) {
      const recordId = toHex(bytes(16));
      const fragment = { recordId, endpointId: OUTBOUND, next: bytes(16), dueMs: 0 };
      await this.records.put({ ...fragment, packet: concat(text, bytes(900)) });
      await outbound.add(recordId);
    }
  }

  async #tick(mixing: JobQueue, fragmentId: string | null): Promise<Uint8Array> {
    const [replyId, packet, recordId] = [bytes(16), bytes(PACKET_BYTES), toHex(bytes(16))];
    const dueMs = Date.now();
    this.own.push({ recordId, packet });
    const keytuple = times(5, () => bytes(16));
    this.secrets.push({ name: 'reply id', bytes: replyId });
    this.secrets.push(...keytuple.map((key) => ({ name: 'reply key', bytes: key })));
    const kind = fragmentId === null ? 'cover' : 'fragment';
    const nodes = times(7, () => toHex(bytes(32)));
    await this.sent.send({
      record: { recordId, endpointId: 'ticks', next: bytes(16), dueMs, packet },
      replyId,
      sent: { kind, fragmentId, keytuple, nodes, sentMs: dueMs, dueMs: dueMs + 60_000 },
      sends: fragmentId === null ? null : bytes(20),
    });
    await mixing.add(recordId, dueMs);
    return replyId;
  }

  async #commit(outcomes: readonly Outcome[], to: Passed[], mixing: JobQueue): Promise<void> {
    const entries = outcomes.map((outcome): CommitEntry => {
      return { endpointId: ENDPOINT, tag: bytes(16), outcome };
    });
    const results = await this.journal.commit(entries);
    if (results.some((result) => result !== 'committed')) throw new Error(results.join(' '));
    for (const { tag, outcome } of entries) {
      const recordId = this.records.recordId(ENDPOINT, tag);
      const next = onwardOf(outcome);
      to.push({ tag, recordId, onward: next?.packet ?? null });
      if (next !== null) await mixing.add(recordId, next.dueMs);
    }
  }
}

function onwardOf(outcome: Outcome): Onward | null {
  if (outcome.kind === 'none') return null;
  return outcome.kind === 'forward' ? outcome : outcome.ack;
}

function onward(dueMs: number): Onward {
  return { packet: bytes(PACKET_BYTES), next: bytes(16), dueMs };
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
