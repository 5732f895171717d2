/** How often each step was hit, and by which end at which moment: the fewest have the next turn. */
import type { Moment, Step } from './step.ts';

/** Which end of a step's link dies, and when. */
export interface Cell {
  readonly moment: Moment;
  /** Whose step it is, or who is at the other end. */
  readonly end: 'program' | 'other';
}

/**
 * Where a second copy is certain: the server has the mail, and who gave it dies, or hears nothing, before it knows. That
 * one window is known and counted; it is hit once in a run, at the other end and moment as often as anything.
 */
const COPYING: Readonly<Record<string, readonly string[]>> = {
  'gateway: a mail is delivered': ['after program', 'after other'],
  'gateway: what became of a delivery is recorded': ['before program'],
  'gateway: a mail is handed back': ['after program', 'after other'],
  'gateway: that a mail has passed is recorded': ['before program'],
};

/** Counts of one run. */
export class Hits {
  readonly #steps = new Map<string, number>();
  /** By step, moment and end. */
  readonly #cells = new Map<string, number>();

  /** How often a step was hit, by its name. */
  of(step: string): number {
    return this.#steps.get(step) ?? 0;
  }

  /** One more, when all that follows from it has been looked at. */
  count(step: string): void {
    this.#steps.set(step, this.of(step) + 1);
  }

  /** One more there, when it is struck at. */
  countCell(step: Step, cell: Cell): void {
    const key = keyOf(step, cell);
    this.#cells.set(key, (this.#cells.get(key) ?? 0) + 1);
  }

  /** One of the cells of a step with the fewest hits. */
  nextCell(step: Step, random: () => number): Cell {
    const hits = (cell: Cell): number => this.#cells.get(keyOf(step, cell)) ?? 0;
    const cells = step.moments
      .flatMap((moment) => (['program', 'other'] as const).map((end): Cell => ({ moment, end })))
      .filter((cell) => hits(cell) === 0 || !isCopying(step, cell));
    const fewest = Math.min(...cells.map(hits));
    const open = cells.filter((cell) => hits(cell) === fewest);
    return open[Math.floor(random() * open.length)] as Cell;
  }
}

function isCopying(step: Step, { moment, end }: Cell): boolean {
  return COPYING[step.name]?.includes(`${moment} ${end}`) === true;
}

function keyOf(step: Step, cell: Cell): string {
  return `${step.name}/${cell.moment}/${cell.end}`;
}
