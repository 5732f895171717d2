/**
 * By what packets are judged and built: the directory with what follows from it, made once for each, for
 * it is asked for with every packet.
 */
import type { Primitives } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { geometryOf } from '../mixnet/geometry.ts';
import type { MixView } from '../mixnet/mix.ts';
import { createSphinx } from '../sphinx/index.ts';
import type { DirectorySource } from './directory-source.ts';

export interface ViewsOptions {
  readonly primitives: Primitives;
  readonly directory: Pick<DirectorySource, 'current'>;
  /** Own peer id. */
  readonly me: string;
  /** Whether this node takes and delivers mail, where the directory lets it. */
  readonly isGateway: boolean;
}

export class Views {
  readonly #options: ViewsOptions;
  #made: { readonly of: Directory; readonly view: MixView } | null = null;

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  /** Null while no directory holds. */
  current(): MixView | null {
    const held = this.#options.directory.current();
    return held.ok ? this.by(held.directory) : null;
  }

  by(directory: Directory): MixView {
    if (this.#made?.of === directory) return this.#made.view;
    const { primitives, me, isGateway } = this.#options;
    const own = directory.nodes.find(({ peerId }) => peerId === me);
    const sphinx = createSphinx(directory.params, primitives);
    const isExit = isGateway && own?.roles.includes('gateway') === true;
    const isMix = own?.roles.includes('mix') === true;
    const view = { sphinx, geometry: geometryOf(sphinx), directory, isMix, isExit };
    this.#made = { of: directory, view };
    return view;
  }
}
