/**
 * Whom a node asks for the directory (design §8): the controller on which the owners meet, its own, and each
 * time two others drawn at random, so that nobody can tell beforehand before whom he must say the same; beside
 * them two of those that gave nothing good the last time, so that `status` says soon when one is well again.
 */
import type { Random } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { drawOne } from '../mixnet/draw.ts';

/** Controllers asked besides those two, and again of those that are not well. */
const OTHERS = 2;

/** Where a nodes.json comes from; a ControllerClient is one. */
export interface NodesSource {
  readonly url: string;
  getNodes(mixnetId: string): Promise<unknown>;
  /** The own controller's: leaves the directory there. */
  postNodes?(mixnetId: string, json: unknown): Promise<void>;
}

/** Draws whom to ask now. */
export function drawSources(
  random: Random,
  options: {
    readonly meeting: NodesSource;
    readonly own: NodesSource;
    readonly clientFor: (url: string) => NodesSource;
    readonly directory: Directory | null;
    /** URLs of controllers that did not serve the directory when they were last asked. */
    readonly unwell?: readonly string[];
  },
): NodesSource[] {
  const { meeting, own, clientFor, directory, unwell = [] } = options;
  // Of the others' clients nothing is posted to: each mirrors for itself.
  const asked = [readOnly(meeting), ...(own.url === meeting.url ? [] : [own])];
  const left = new Set(controllersOf(directory));
  for (const url of [meeting.url, own.url]) left.delete(url);
  const draw = (isAmong: (url: string) => boolean): void => {
    for (let drawn = 0; drawn < OTHERS; drawn++) {
      const url = drawOne(random, [...left].filter(isAmong));
      if (url === null) break;
      left.delete(url);
      const source = sourceOf(url, clientFor);
      if (source.url !== meeting.url && source.url !== own.url) asked.push(source);
    }
  };
  draw(() => true);
  draw((url) => unwell.includes(url));
  return asked;
}

/**
 * The controllers of a directory's nodes that may be asked. One on loopback, in a mixnet that is not, leads to
 * whatever else answers on our own host: whom its node names for that is not asked for anything.
 */
export function controllersOf(directory: Directory | null): string[] {
  const nodes = (directory?.nodes ?? []).filter(({ leftOut }) => leftOut !== 'url-loopback');
  // Of a node without an entry there is no URL.
  return nodes.map(({ controllerUrl }) => controllerUrl).filter((url) => url !== '');
}

/** A URL that may not be asked, as plain HTTP to another host may not, is a controller that gives nothing. */
function sourceOf(url: string, clientFor: (url: string) => NodesSource): NodesSource {
  try {
    return readOnly(clientFor(url));
  } catch (error) {
    return { url, getNodes: async () => await Promise.reject(error) };
  }
}

function readOnly(source: NodesSource): NodesSource {
  return { url: source.url, getNodes: async (mixnetId) => await source.getNodes(mixnetId) };
}
