/** Controllers that a client must not believe: one that answers what a test says, one that alters honest answers. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { CarefulClient, readMixnetUrl } from '../../src/client/careful.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';

/** Serves JSON on a free port of the loopback until the test ends. */
export async function serveAnswers(
  t: ExecutionContext,
  answer: (path: string) => unknown,
): Promise<string> {
  return await serve(t, (request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer(request.url ?? '')));
  });
}

/**
 * What the liar says instead of an honest answer, or that itself where it stays; also instead of a refusal.
 * @param path with its query, after `/panoramix/`
 */
export type Alter = (answer: unknown, path: string) => unknown;

/**
 * Stands between a client and an honest controller, and alters what that answers.
 * @returns its address; the catalog URL stays the honest controller's
 */
export async function lieAbout(
  t: ExecutionContext,
  honestUrl: string,
  alter: Alter,
): Promise<string> {
  const pass = async ({ method = 'GET', url = '/', headers: sent }: IncomingMessage) => {
    const headers = ['signature', 'signature-input'].flatMap((name): [string, string][] => {
      const value = sent[name];
      return typeof value === 'string' ? [[name, value]] : [];
    });
    const answer = await fetch(new URL(url, honestUrl), { method, headers });
    const told: unknown = await answer.json();
    const said = alter(told, url.replace('/panoramix/', ''));
    return { status: said === told ? answer.status : 200, text: JSON.stringify(said) };
  };
  return await serve(t, async (request, response) => {
    const { status, text } = await pass(request);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(text);
  });
}

/** A client that knows a mix-net URL and nothing else, with a liar between it and the honest controller. */
export async function carefulBehind(
  t: ExecutionContext,
  honestUrl: string,
  mixnetId: string,
  alter: Alter,
  identity: Identity = createIdentity(native),
): Promise<CarefulClient> {
  const url = readMixnetUrl(`${honestUrl}panoramix/peers/${mixnetId}/`);
  if (url === null) throw new Error('no mix-net URL');
  const address = await lieAbout(t, honestUrl, alter);
  const client = new ControllerClient({
    url: url.controllerUrl,
    address,
    identity,
    primitives: native,
  });
  return new CarefulClient(client, native, url.mixnetId);
}

async function serve(
  t: ExecutionContext,
  listener: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer((request, response) => void listener(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
