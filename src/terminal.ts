/**
 * What programs show to a person: a line that replaces itself while work goes on, colour only where
 * a terminal is, plain lines where a file or a pipe is.
 */
import { styleText } from 'node:util';

/** Progress of long work on stderr-like streams. */
export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  #open = false;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
  }

  /** Prints a line of its own. */
  line(text: string): void {
    this.#close();
    this.#stream.write(`${text}\n`);
  }

  /** Prints a step that was done. */
  done(text: string): void {
    this.line(`${this.paint('green', '✓')} ${text}`);
  }

  /** Prints what went wrong. */
  failed(text: string): void {
    this.line(`${this.paint('red', '✗')} ${text}`);
  }

  /** Replaces the last progress line; says nothing where no terminal is. */
  progress(text: string): void {
    if (!this.#stream.isTTY) return;
    this.#stream.write(`\r\u001b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
    this.#open = true;
  }

  /** Takes the progress line away. */
  clear(): void {
    this.#close();
  }

  /** Colours text where a terminal shows it. */
  paint(colour: 'green' | 'red' | 'yellow' | 'cyan' | 'dim', text: string): string {
    return this.#stream.isTTY ? styleText(colour, text) : text;
  }

  #close(): void {
    if (this.#open) this.#stream.write('\r\u001b[K');
    this.#open = false;
  }
}

/** Milliseconds as people say them: 850 ms, 12 s, 3 min, 2.5 h. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  if (milliseconds < 7_200_000) return `${Math.round(milliseconds / 60_000)} min`;
  return `${(milliseconds / 3_600_000).toFixed(1)} h`;
}
