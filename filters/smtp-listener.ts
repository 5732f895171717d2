/**
 * smtp-server as a filter behind Postfix needs it: the options that its defaults, which are for
 * submission servers, would get wrong, our own connections, and a stop that loses nothing.
 */
/* eslint-disable no-underscore-dangle -- the seams of smtp-server are named so */
import type { Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection';
import {
  FilterConnection,
  type FilterServer,
  type SmtpListenerOptions,
} from './filter-connection.ts';

/** `500 command not recognized`: of no use between a Postfix and its filter. */
const DISABLED = ['AUTH', 'STARTTLS', 'XCLIENT', 'HELP', 'WIZ', 'SHELL', 'KILL'];
/** One listening socket. */
export class SmtpListener extends SMTPServer implements FilterServer {
  readonly filter: SmtpListenerOptions;
  /** Bytes of messages held now. */
  bufferedBytes = 0;
  #stopping = false;

  constructor(filter: SmtpListenerOptions) {
    super({
      lmtp: filter.protocol === 'lmtp',
      name: filter.hostname,
      banner: 'panoramix',
      size: filter.messageBytesMax,
      maxClients: filter.connectionsMax,
      socketTimeout: filter.idleMsMax,
      closeTimeout: filter.stopMsMax,
      disabledCommands: DISABLED,
      hideSTARTTLS: true,
      disableReverseLookup: true,
      logger: false,
    });
    this.filter = filter;
    this.on('error', filter.onError);
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** The seam: smtp-server hands each new socket over here. */
  override connect(socket: Socket, options?: SMTPConnectionOptions): void {
    const connection = new FilterConnection(this, socket, options);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.filter.onError(error));
    connection.init();
  }

  /** Stops: no new connection, 421 to those who hold no message; resolves when all are done. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.close(() => resolve()));
    for (const connection of this.connections) (connection as FilterConnection).stopIfIdle();
    await closed;
    for (const connection of this.connections) connection._socket.destroy();
  }
}
