/**
 * From the closing to the result (D4.2 §5.2, "Collected input for processbox"): each owner waits for the
 * link before its own, checks what it is given, mixes, and in the end checks the whole chain before it
 * signs: counts, hand-overs, the PROCESSBOX against the last link, its own dummies.
 */
import { canonicalText } from '../../api/canonical.ts';
import { endpointUpdate } from '../../api/endpoint.ts';
import { messageHash } from '../../api/message.ts';
import { readBox } from '../../client/batch-read.ts';
import type { CarefulClient } from '../../client/careful.ts';
import type { InboxMessage } from '../../client/controller.ts';
import type { BatchLink } from '../../api/batch-params.ts';
import {
  checkCounts,
  decodeCycleProof,
  decodeLinkProof,
  encodeCycleProof,
  type CycleReason,
  type LinkCount,
} from '../../mixnet/batch-cycle.ts';
import { DUMMIES_SHOWN_MAX, dummyTexts } from '../../mixnet/batch-dummy.ts';
import { hashesOf, linkInputs, linkOutputs } from '../../mixnet/batch-link.ts';
import type { BatchInput } from '../../mixnet/batch-peel.ts';
import type { Step, Words } from './agree-step.ts';
import { carefulOf, cycleRefused, type BatchView } from './batch-view.ts';
import { closedDummies } from './closing.ts';
import type { Cycle } from './cycle.ts';
import { passLink, type Mixed } from './own-link.ts';

/** What one link has signed for this cycle so far. */
interface LinkState {
  /** Hashes that it took; null before its closing. */
  readonly took: readonly string[] | null;
  /** Null before it is published. */
  readonly gave: readonly string[] | null;
  readonly count: LinkCount;
}

const NOT_YET: LinkState = { took: null, gave: null, count: { took: 0, gave: 0, drops: {} } };

/** The work on one closed cycle. */
export class Publishing {
  readonly #view: BatchView;
  readonly #cycle: Cycle;
  readonly #cycleId: string;
  /** Waits between two looks; rejects when the owner shall stop. */
  readonly #pause: () => Promise<void>;
  readonly #careful: readonly CarefulClient[];
  #accepted: readonly InboxMessage[] = [];
  #mixed: Mixed | null = null;
  #result: readonly InboxMessage[] | null = null;

  constructor(view: BatchView, cycle: Cycle, pause: () => Promise<void>) {
    this.#view = view;
    this.#cycle = cycle;
    this.#cycleId = cycle.state.closing_consensus_id ?? '';
    this.#pause = pause;
    this.#careful = cycle.links.map((link) => carefulOf(view, link.peerId));
  }

  /** Does our part; returns when our link has passed on what it was given. */
  async mix(): Promise<void> {
    const { client, primitives, log } = this.#view;
    const { gatewayId, gateway, place, own, mixnetId } = this.#cycle;
    const { accepted, closedBy } = await gateway.endpoint(gatewayId);
    // A true record of another cycle is what a hostile controller would show: ours would be mixed empty.
    if (closedBy !== this.#cycleId) {
      throw cycleRefused('input-differs', `${gatewayId} shows another cycle`);
    }
    const query = { endpointId: gatewayId, box: 'ACCEPTED' } as const;
    this.#accepted = await readBox(client, primitives, query, accepted ?? []);
    const given = place === 0 ? this.#accepted : await this.#takeFromLinkBefore();
    this.#mixed = await passLink(this.#view, own, this.#cycleId, given);
    if (own.next !== null) return;
    const messages = linkOutputs({ peerId: mixnetId, endpointId: gatewayId }, this.#mixed.outputs);
    await client.postMessages(messages);
    log.info(
      { event: 'processbox-collected', endpointId: gatewayId, messages: messages.length },
      'Collected input for processbox',
    );
  }

  /** The step that publishes the result, once it is there and right. */
  step(info: object): Step {
    return {
      name: 'publish',
      info,
      look: () => this.#look(),
      word: () => this.#data(this.#shownNonces()),
      compose: (words) => {
        if (this.#isAsSaid(words)) return this.#data(this.#noncesIn(words));
        throw cycleRefused('result-differs', 'the last link gave something else than at first');
      },
      review: (data, words) => this.#review(data, words),
    };
  }

  async #takeFromLinkBefore(): Promise<readonly BatchInput[]> {
    const { client, primitives, log, identity } = this.#view;
    const { links, place } = this.#cycle;
    const before = links[place - 1] as BatchLink;
    log.info({ event: 'inbox-awaited', from: before.endpointId }, 'Waiting to collect inbox');
    for (;;) {
      const states = await this.#readLinks(place);
      this.#checkInputs(states);
      const gave = states.at(-1)?.gave;
      if (gave && states.every((state) => state.gave !== null)) {
        this.#checkCounts(states);
        const recipient = identity.peerId;
        const query = { endpointId: before.endpointId, box: 'OUTBOX', recipient } as const;
        return await readBox(client, primitives, query, gave);
      }
      await this.#pause();
    }
  }

  /** Where the first `count` links stand in this cycle. */
  async #readLinks(count: number): Promise<LinkState[]> {
    const states: LinkState[] = [];
    for (const [index, link] of this.#cycle.links.slice(0, count).entries()) {
      const said = await this.#view.client.getEndpoint(link.endpointId);
      if (said === null) {
        states.push(NOT_YET);
        continue;
      }
      const endpoint = await (this.#careful[index] as CarefulClient).endpoint(link.endpointId);
      const { accepted: took, published: gave } = endpoint;
      const proof = decodeLinkProof(endpoint.proof ?? undefined);
      // A link opens its next cycle when it is given something: what is closed is of this one.
      if (endpoint.status === 'CLOSED') states.push({ ...NOT_YET, took });
      else if (proof?.cycle !== this.#cycleId || !took || !gave) states.push(NOT_YET);
      else {
        const counted = { took: took.length, gave: gave.length, drops: proof.drops };
        states.push({ took, gave, count: counted });
      }
    }
    return states;
  }

  /** @throws PanoramixError `cycle-refused` where a link made more or less of its input than it says */
  #checkCounts(states: readonly LinkState[]): void {
    const reason = checkCounts(
      this.#accepted.length,
      states.map((state) => state.count),
    );
    if (reason !== null) throw cycleRefused(reason, 'between the links of the chain');
  }

  /** The first link's input everybody knows, that of the one after ours we gave ourselves. */
  #checkInputs(states: readonly LinkState[]): void {
    const { primitives } = this.#view;
    const { links, place, own } = this.#cycle;
    const gave = this.#mixed && linkOutputs(own.link, this.#mixed.outputs);
    const given = gave?.map((one) => ({
      messageHash: messageHash(primitives, one),
      text: one.text,
    }));
    const known: [number, readonly BatchInput[] | undefined][] = [
      [0, this.#accepted],
      [place + 1, given],
    ];
    for (const [index, inputs] of known) {
      const [link, took] = [links[index], states[index]?.took];
      if (!inputs || !link || !took) continue;
      const expected = hashesOf(primitives, linkInputs(primitives, link, this.#cycleId, inputs));
      if (expected.join() !== took.join()) {
        throw cycleRefused('input-differs', `${link.endpointId} took what it was not given`);
      }
    }
  }

  async #look(): Promise<void> {
    if (this.#result !== null) return;
    const { client, primitives } = this.#view;
    const { links, gatewayId } = this.#cycle;
    const states = await this.#readLinks(links.length);
    this.#checkInputs(states);
    const gave = states.at(-1)?.gave;
    if (!gave || !states.every((state) => state.gave !== null)) return;
    this.#checkCounts(states);
    const query = { endpointId: gatewayId, box: 'PROCESSBOX' } as const;
    const shown = await readBox(client, primitives, query);
    const result = this.#fromLastLink(shown, gave);
    if (result === null) return;
    this.#checkDummies(result);
    this.#result = result;
  }

  /** Those messages that the last link gave, hash for hash; null while some are not posted yet. */
  #fromLastLink(shown: readonly InboxMessage[], gave: readonly string[]): InboxMessage[] | null {
    const { primitives } = this.#view;
    const { links } = this.#cycle;
    const { peerId, endpointId } = links.at(-1) as BatchLink;
    const given = new Set(gave);
    const result = shown.filter((message) => {
      const [atLink] = linkOutputs({ peerId, endpointId }, [message]);
      return atLink !== undefined && given.has(messageHash(primitives, atLink));
    });
    if (result.length === given.size) return result;
    // Posted in parts: fewer are on their way, as many are something else.
    if (shown.length < given.size) return null;
    throw cycleRefused('result-differs', 'the PROCESSBOX is not what the last link gave');
  }

  #checkDummies(result: readonly InboxMessage[]): void {
    const { primitives } = this.#view;
    const { gatewayId, mixnetId } = this.#cycle;
    const out = new Set(
      result.filter(({ recipient }) => recipient === mixnetId).map(({ text }) => text),
    );
    for (const text of dummyTexts(primitives, gatewayId, this.#ownNonces())) {
      if (!out.has(text)) throw cycleRefused('dummy-lost', `in ${gatewayId}`);
    }
  }

  #ownNonces(): string[] {
    return closedDummies(this.#view, this.#cycle, this.#accepted);
  }

  /** What one owner may show: all together must fit into one result, or none could be published. */
  get #shareMax(): number {
    return Math.floor(DUMMIES_SHOWN_MAX / this.#cycle.links.length);
  }

  #shownNonces(): string[] {
    return this.#ownNonces().toSorted().slice(0, this.#shareMax);
  }

  /** The dummies that all owners have shown. */
  #noncesIn(words: Words): string[] {
    const nonces = [...words.values()].flatMap((data) => {
      const said = endpointUpdate.safeParse(data);
      const shown = said.success ? decodeCycleProof(said.data.process_proof) : null;
      return shown?.slice(0, this.#shareMax) ?? [];
    });
    return [...new Set(nonces)].toSorted();
  }

  #data(nonces: readonly string[]): object | null {
    if (this.#result === null) return null;
    return {
      endpoint_id: this.#cycle.gatewayId,
      status: 'PROCESSED',
      message_hashes: this.#result.map((message) => message.messageHash).toSorted(),
      process_proof: encodeCycleProof(nonces),
    };
  }

  /**
   * Whether the result is the one of which we gave our word. With that word our dummies are known: what the
   * last link publishes after it may leave out all that is none.
   */
  #isAsSaid(words: Words): boolean {
    const said = words.get(this.#view.identity.peerId) ?? null;
    return canonicalText(said) === canonicalText(this.#data(this.#shownNonces()));
  }

  #review(data: unknown, words: Words): CycleReason | null {
    if (!this.#isAsSaid(words)) return 'result-differs';
    const nonces = this.#noncesIn(words);
    const expected = this.#data(nonces);
    if (expected === null || this.#result === null) return 'result-differs';
    const texts = new Set(this.#result.map((message) => message.text));
    const shown = dummyTexts(this.#view.primitives, this.#cycle.gatewayId, nonces);
    if (![...shown].every((text) => texts.has(text))) return 'dummy-foreign';
    return canonicalText(data) === canonicalText(expected) ? null : 'result-differs';
  }
}
