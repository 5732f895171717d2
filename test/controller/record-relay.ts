/**
 * What somebody on the wire sees of a TLS connection: a relay on loopback that passes everything on and notes
 * each record's direction, kind and length (RFC 8446 §5.1), in their order.
 */
import { connect, createServer, type AddressInfo } from 'node:net';

/** One TLS record as it passed. */
export interface SeenRecord {
  readonly from: 'client' | 'server';
  /** 23: application data; all else is the handshake's. */
  readonly kind: number;
  readonly bytes: number;
}

export interface RecordRelay {
  readonly port: number;
  /** Of each connection in turn. */
  readonly connections: readonly (readonly SeenRecord[])[];
  stop(): void;
}

const HEADER_BYTES = 5;

/** @param target port on loopback of the TLS server, asked for each connection: it may start later */
export async function startRecordRelay(target: () => number): Promise<RecordRelay> {
  const connections: SeenRecord[][] = [];
  const server = createServer((client) => {
    const seen: SeenRecord[] = [];
    connections.push(seen);
    const upstream = connect(target(), '127.0.0.1');
    client.on('data', noting('client', seen)).on('error', () => upstream.destroy());
    upstream.on('data', noting('server', seen)).on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    stop: () => server.close(),
  };
}

/** Cuts a stream into records, however its parts arrive. */
function noting(from: SeenRecord['from'], seen: SeenRecord[]): (part: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (part) => {
    rest = Buffer.concat([rest, part]);
    while (rest.length >= HEADER_BYTES) {
      const bytes = HEADER_BYTES + rest.readUInt16BE(3);
      if (rest.length < bytes) return;
      seen.push({ from, kind: rest.readUInt8(0), bytes });
      rest = rest.subarray(bytes);
    }
  };
}
