/**
 * What a proxy between two programs sees, and how it is told to hold something: the words that steps, proxies and
 * the driver of a crash run share. A driver opens one `Proxy` per `Link`, all with one `Watch`; it arms a
 * step, is given the `Hit`, kills whom it likes, waits for that death, and calls `drop`.
 */

/**
 * The way from one program to another. Programs have the names of `victims.ts`: `beta`, `beta.controller`,
 * `beta.redis`, `beta.controller.redis`, `beta.postfix`.
 */
export interface Link {
  /** For people, unlike all others. */
  readonly name: string;
  readonly protocol: 'redis' | 'http' | 'smtp';
  /** What is spoken SMTP or LMTP for; absent for the others. */
  readonly service?: 'lmtp' | 'smtp' | 'returns' | 'exit' | 'reinject';
  /** Who connects; null where several do, whose requests say who they are. */
  readonly client: string | null;
  readonly server: string;
  /** Of 127.0.0.1: where the proxy listens, and where the server does. */
  readonly listenPort: number;
  readonly serverPort: number;
}

/** In front of one server. It stays while programs at both ends die and come back. */
export interface Proxy {
  readonly link: Link;
  /** Breaks off whatever is connected; nothing listens any more when it settles. */
  close(): Promise<void>;
}

/** One command of Redis, or one transaction: MULTI to EXEC are one frame, held at the EXEC. */
export interface RedisFrame {
  readonly protocol: 'redis';
  /** In capitals; `EXEC` for a transaction. */
  readonly command: string;
  /**
   * What a script is called, by its hash: BullMQ's own names, such as `moveToFinished`; empty for ours, which
   * are known by their keys, and for everything else.
   */
  readonly script: string;
  /** Of a script those that it is given; of any other command its first argument; of a transaction all. */
  readonly keys: readonly string[];
  /** All of its words, the command in capitals, long ones cut off; in one list for a transaction. */
  readonly words: readonly string[];
  /** Keys of the last script of ours before it on its connection. */
  readonly previousKeys: readonly string[];
}

/** One request to a controller; its body has come whole. */
export interface HttpFrame {
  readonly protocol: 'http';
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** One character for each byte. */
  readonly body: string;
  /** Peer id of who signed it; null where nobody did. */
  readonly signer: string | null;
}

/** One command of SMTP or LMTP, with its reply. */
export interface SmtpFrame {
  readonly protocol: 'smtp';
  /** In capitals, such as `MAIL`; `.` for the end of a message. */
  readonly command: string;
  /** The whole line. */
  readonly line: string;
}

export type Frame = RedisFrame | HttpFrame | SmtpFrame;

/** `before` the server has it, or `after` the server has done it and before its client knows. */
export type Moment = 'before' | 'after';

/** What a run must do for a step to come about. */
export type Occasion =
  /** Mail from entry to exit; all steps but few. */
  | 'mail'
  /** A mail of many fragments. */
  | 'large mail'
  /** Mail to somebody whom the far provider does not know. */
  | 'failing mail'
  /** Mail that the far Postfix has taken and cannot deliver after all. */
  | 'bouncing mail'
  /** Opted-in mail to a domain outside the mixnet. */
  | 'passing mail'
  /** The program must be killed and started again: it comes while it starts. */
  | 'start'
  /** Nodes agree on a snapshot: `snapshotLifetimeMs` bounds how long that takes. */
  | 'snapshot'
  /** Mix keys end: `keyLifetimeMs` bounds how long that takes. */
  | 'keys';

/** A named step of one kind of program, as it shows on one kind of link. */
export interface Step {
  /** Unlike all others; what tables call it. */
  readonly name: string;
  /** Whose step it is; `node`: a gateway's or a mix's. */
  readonly role: 'gateway' | 'mix' | 'node' | 'controller';
  /** Whether that program asks or is asked; victims are it and the other end. */
  readonly end: 'client' | 'server';
  readonly protocol: Link['protocol'];
  /** Of SMTP, on which links it shows. */
  readonly services?: readonly NonNullable<Link['service']>[];
  readonly occasion: Occasion;
  readonly moments: readonly Moment[];
  matches(frame: Frame): boolean;
  /** What its reply must be to be held after it; absent: any, such as an error. */
  readonly isAnsweredBy?: (reply: Buffer) => boolean;
}

/** What a driver waits for; `program` narrows it to one, such as `beta`. */
export interface Target {
  readonly step: Step;
  readonly moment: Moment;
  readonly program?: string;
}

/** A step that a proxy holds: nothing passes on its connection until `drop` or `pass`. */
export interface Hit {
  readonly step: Step;
  readonly moment: Moment;
  readonly link: Link;
  /** Whose step it is, such as `beta`; kill it, */
  readonly program: string;
  /** or who is at the other end, such as `beta.redis`. */
  readonly other: string;
  /** Unix ms. */
  readonly atMs: number;
  /** After the death: what is held is gone for good, and its connection broken off at both ends. */
  drop(): void;
  /** Lets it go on, as if nothing had been held. */
  pass(): void;
}

/** What all proxies of a run ask about each frame. */
export interface Watch {
  /**
   * Holds the next such step.
   * @returns the hit; null where `signal` came first, after which nothing is held any more
   */
  arm(target: Target, signal: AbortSignal): Promise<Hit | null>;
  /** How often each step has come by, held or not, by its name: what a run never sees it cannot hit. */
  readonly seen: ReadonlyMap<string, number>;
}
