/**
 * Questions that people are asked while polling goes on: each is put once, what is asked anew makes the one
 * before it moot, and an answer stays until its question changes.
 */

interface Open {
  readonly subject: string;
  readonly moot: AbortController;
  answer: { readonly value: unknown } | null;
  failure: { readonly error: unknown } | null;
}

/** The questions of one wizard. */
export class Questions {
  readonly #open = new Map<string, Open>();
  #news = Promise.withResolvers<void>();

  /**
   * The answer, or null while it is being thought about.
   * @param kind of which there is one at a time
   * @param subject what exactly is asked; another one replaces the question
   * @param put puts the question; its rejection is thrown at the next look
   */
  ask<Answer>(
    kind: string,
    subject: string,
    put: (moot: AbortSignal) => Promise<Answer>,
  ): Answer | null {
    const before = this.#open.get(kind);
    if (before?.subject === subject) {
      if (before.failure) throw before.failure.error;
      return (before.answer?.value ?? null) as Answer | null;
    }
    before?.moot.abort();
    const question: Open = { subject, moot: new AbortController(), answer: null, failure: null };
    this.#open.set(kind, question);
    void this.#put(question, put);
    return null;
  }

  /** A question of this kind is void. */
  drop(kind: string): void {
    this.#open.get(kind)?.moot.abort();
    this.#open.delete(kind);
  }

  /** All are void: the wizard ends. */
  close(): void {
    for (const { moot } of this.#open.values()) moot.abort();
    this.#open.clear();
  }

  /** Resolves at the next answer, at once where there was one since the last time. */
  async awake(): Promise<void> {
    await this.#news.promise;
    this.#news = Promise.withResolvers<void>();
  }

  /** As an answer does. */
  wake(): void {
    this.#news.resolve();
  }

  async #put(question: Open, put: (moot: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      question.answer = { value: await put(question.moot.signal) };
    } catch (error) {
      question.failure = { error };
    }
    this.wake();
  }
}
