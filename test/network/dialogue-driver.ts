/**
 * Operators at terminals on hosts of their own: each types the server wizard's and the wizard's whole dialogue
 * (D4.2 §5), compares what he is shown with what the others hold, and starts his programs.
 */
import { join } from 'node:path';
import type { Screen, Terminals } from '../wizard/terminal.ts';
import type { FederatedPeer } from './federation.ts';

const CLI = join(import.meta.dirname, '../../src/cli');
/** Nine people type at once, and each asks the others for his signature. */
const PATIENCE_MS = 120_000;

/** One operator, with the terminals he sits at. */
export class Operator {
  readonly peer: FederatedPeer;
  readonly #terminals: Terminals;
  #server: Screen | null = null;
  #wizard: Screen | null = null;

  constructor(peer: FederatedPeer, terminals: Terminals) {
    this.peer = peer;
    this.#terminals = terminals;
  }

  get wizard(): Screen {
    if (!this.#wizard) throw new Error(`${this.peer.name} has not started the wizard`);
    return this.#wizard;
  }

  get server(): Screen {
    if (!this.#server) throw new Error(`${this.peer.name} has not started the server wizard`);
    return this.#server;
  }

  /** Sets up and starts his controller. */
  async setUpController(): Promise<void> {
    const { certificate, url, name } = this.peer;
    const screen = await this.#open('server', 'bin-server-wizard.js', 'panserver.yaml');
    this.#server = screen;
    await screen.answer(/Set CATALOG_URL/, url);
    await screen.choose(/Choose 'files' or 'proxy'/, 'files');
    await screen.answer(/file of the certificate$/m, certificate.cert);
    await screen.answer(/certificate's key/, certificate.key);
    await screen.answer(/shall the controller listen/, '');
    await screen.choose(/What are mix-nets here for/, 'mail');
    await screen.choose(/Select backend/, 'SPHINXMIX');
    await screen.answer(/Set BODY_LEN/, '');
    await screen.choose(/Set GROUP/, 'X25519');
    await screen.answer(/Set HEADER_LEN/, '');
    await screen.answer(/Name this controller/, name);
    await screen.answer(/folder for the controller/, '');
    await screen.answer(/state file of your node/, '');
    await screen.choose(/Start the controller now/, 'yes', PATIENCE_MS);
    await screen.sees(/Controller answers/, PATIENCE_MS);
  }

  /** Up to the registration of his key. */
  async register(catalogUrl: string, caFile: string, role: 'create' | 'join'): Promise<string> {
    const screen = await this.#open('wizard', 'bin-wizard.js', 'panoramix.yaml');
    this.#wizard = screen;
    await screen.answer(/Set CATALOG_URL/, catalogUrl, PATIENCE_MS);
    await screen.choose(/What now/, 'authority', PATIENCE_MS);
    await screen.answer(/certificate of your own authority/, caFile);
    await screen.choose(/Choose 'create' or 'join'/, role, PATIENCE_MS);
    await screen.choose(/What is the mix-net for/, 'mail');
    if (role === 'create') {
      await screen.choose(/Select backend/, 'SPHINXMIX');
      await screen.answer(/Set BODY_LEN/, '');
      await screen.choose(/Set GROUP/, 'X25519');
      await screen.answer(/Set HEADER_LEN/, '');
    }
    await screen.answer(/folder for keys/, '');
    await screen.choose(/No key available/, 'create');
    await screen.answer(/register as peer/, this.peer.name);
    const registered = /Registered peer with PEER_ID: ([0-9a-f]{64})/;
    const [, peerId = ''] = await screen.sees(registered, PATIENCE_MS);
    return peerId;
  }

  /** Invites, and proposes the traffic of a test: what an operator would, only faster. */
  async invite(invitations: number): Promise<string[]> {
    const screen = this.wizard;
    await screen.answer(/Choose mix-net peer name/, 'our_mix-net');
    await screen.answer(/number of invitations/, String(invitations));
    await this.#nameNode();
    await screen.choose(/How much traffic/, 'own');
    await screen.answer(/mean delay at each mix/, '50');
    await screen.answer(/packets that each gateway/, '5');
    await screen.answer(/loops that each node/, '1');
    await screen.answer(/mixes of each route/, '');
    await screen.sees(
      new RegExp(`(?:^ {2}\\S{43}\\|\\S{43}$\\s*){${invitations}}`, 'm'),
      PATIENCE_MS,
    );
    const text = await screen.text();
    return [...text.matchAll(/^ {2}(\S{43}\|\S{43})$/gm)].map(([, invitation = '']) => invitation);
  }

  /** Joins with an invitation that came by another way. */
  async join(invitation: string): Promise<void> {
    await this.wizard.answer(/Give invitation/, invitation);
    await this.#nameNode();
  }

  /** Looks at what is proposed and accepts it. */
  async acceptTerms(): Promise<void> {
    const screen = this.wizard;
    await screen.choose(/Proposed crypto backend/, 'accept', PATIENCE_MS);
    await screen.choose(/Proposed crypto params/, 'accept', PATIENCE_MS);
  }

  /** The fingerprints that he is shown before he signs, and accepts. */
  async acceptOwners(): Promise<string[]> {
    const screen = this.wizard;
    await screen.sees(/◆ {2}Are these the owners/, PATIENCE_MS);
    const text = await screen.text();
    const fingerprints = [...text.matchAll(/(?:[0-9a-f]{4} ){7}[0-9a-f]{4}/g)].map(([one]) => one);
    await screen.choose(/Are these the owners/, 'accept');
    return fingerprints;
  }

  /** Accepts the nodes, whose domains DNS has proved. */
  async acceptNodes(): Promise<void> {
    await this.wizard.choose(/Proposed nodes and traffic/, 'accept', PATIENCE_MS);
  }

  /** The mix-net URL that he is shown; then he starts his node. */
  async start(): Promise<string> {
    const screen = this.wizard;
    const [, url = ''] = await screen.sees(
      /^ {2}(https:\S+\/peers\/[0-9a-f]{64}\/)$/m,
      PATIENCE_MS,
    );
    await screen.choose(/Start the (mix|gateway) now/, 'yes');
    return url;
  }

  /** What the node shows in his terminal once it routes. */
  async routes(): Promise<void> {
    await this.wizard.sees(/Routing by directory number 1: 5 nodes/, PATIENCE_MS);
  }

  /** Ctrl-C in both terminals. */
  async leave(): Promise<(number | null)[]> {
    const screens = [this.#wizard, this.#server].filter((screen) => screen !== null);
    const codes: number[] = [];
    for (const screen of screens) {
      await screen.press('C-c');
      codes.push(await screen.ended(PATIENCE_MS));
    }
    return codes;
  }

  async #nameNode(): Promise<void> {
    const { role, name, url } = this.peer;
    const screen = this.wizard;
    await screen.answer(/your node to be/, role);
    if (role === 'gateway') {
      await screen.answer(/Which mail domains/, `${name}.example`);
      await screen.answer(/weight of your gateway/, '');
    }
    await screen.answer(/own controller/, url);
    if (role !== 'gateway') return;
    for (const door of [/SMTP from Postfix/, /LMTP from Postfix/, /take back mail/]) {
      await screen.answer(door, '', PATIENCE_MS);
    }
    await screen.answer(/take mail out of the mix-net/, '');
    await screen.answer(/name does the gateway give/, `mx.${name}.example`);
  }

  async #open(what: string, bin: string, config: string): Promise<Screen> {
    const { host, folder, name } = this.peer;
    const command = host.command(process.execPath, [join(CLI, bin)]);
    const env = { PANORAMIX_CONFIG: join(folder, config) };
    return await this.#terminals.open(`${name}-${what}`, command, { cwd: folder, env });
  }
}

/** A screen's text with all that differs from run to run made short and alike. */
export function transcriptOf(text: string, folder: string): string {
  return text
    .replaceAll(folder, '/srv')
    .replaceAll(/\b[0-9a-f]{64}\b/g, (hex) => `${hex.slice(0, 8)}…`)
    .replaceAll(/\b[0-9a-f]{16}…/g, (hex) => `${hex.slice(0, 8)}…`)
    .replaceAll(/(\S{8})\S{35}\|(\S{8})\S{35}/g, '$1…|$2…')
    .replaceAll(/(?:[0-9a-f]{4} ){6}[0-9a-f]{4}/g, '…');
}

/** Of a transcript the lines that are the same in every run: what was asked, and what was reached. */
export function shapeOf(transcript: string): string[] {
  return transcript
    .split('\n')
    .filter((line) => line.startsWith('◇'))
    .map((line) => line.replaceAll(/\S*…\S*/g, '…'));
}
