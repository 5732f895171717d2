/** A request of every kind to a controller, made where the one before it has left off: what its target begins with. */
import { CONTINUOUS } from '../../src/api/endpoint.ts';
import type { ControllerClient } from '../../src/client/controller.ts';

/**
 * First line method and path, second how it is signed, then the body.
 * @param client of a peer who is not registered yet
 * @param me his peer id
 */
export async function requestsOf(client: ControllerClient, me: string): Promise<string[]> {
  await client.registerPeer('fuzz');
  const negotiation = await client.createNegotiation();
  return [...posts(me, negotiation), ...(await changes(client, me)), ...readings(me, negotiation)];
}

function posts(me: string, negotiation: string): string[] {
  const time = new Date().toISOString();
  const meta = { accept: true, signers: [me], negotiation_id: negotiation, round: 1, time };
  const text = JSON.stringify({ data: {}, info: {}, meta });
  const message = { endpoint_id: 'ep', box: 'INBOX', sender: me, recipient: me, text: 'hello' };
  const serial = 'a'.repeat(32);
  return [
    post('negotiations/', 'negotiation', {}),
    post('negotiations', 'negotiation', { signers: [me], needed: 1 }),
    post('contributions/', 'contribution', { negotiation_id: negotiation, text, signature: '$' }),
    post('peers', 'peer', { name: 'a', key_type: 27, key_id: me, key_data: me }),
    post(`peers/${me}/meeting`, 'meeting', { peer_id: me, negotiation_id: negotiation, number: 1 }),
    post('messages/', 'message', { ...message, serial }),
    post('messages/', 'message', [message, { ...message, text: 'b' }]),
  ];
}

/** What is done by a consensus: the endpoint opens, and may be closed. */
async function changes(client: ControllerClient, me: string): Promise<string[]> {
  const endpoint = {
    peer_id: me,
    endpoint_id: 'ep',
    endpoint_type: CONTINUOUS,
    endpoint_params: '{}',
    description: '',
    status: 'OPEN' as const,
    size_min: 0,
    size_max: 1000,
  };
  const info = { resource: 'endpoint', operation: 'create' };
  const decided = await client.decideAlone({ data: endpoint, info });
  const opened = await client.createEndpoint(endpoint, decided);
  const last = opened.consensus_logs.at(-1)?.consensus_id ?? '';
  const data = { endpoint_id: 'ep', peer_id: me, status: 'CLOSED' };
  const operation = 'partial_update';
  const closing = { resource: 'endpoint', operation, on_last_consensus_id: last };
  const agreed = await client.decideAlone({ data, info: closing });
  const peer = { data: { peer_id: me, log: {} }, info: { resource: 'peer', operation } };
  return [
    by('POST', 'endpoints', { data: endpoint, info }, decided),
    by('PATCH', 'endpoints/ep/', { data, info: closing }, agreed),
    by('PATCH', `peers/${me}`, peer, decided),
  ];
}

function readings(me: string, negotiation: string): string[] {
  return [
    `GET /panoramix/negotiations/${negotiation}/\nnone\n`,
    `GET /panoramix/contributions/?negotiation=${negotiation}\nread\n`,
    `GET /panoramix/peers/${me}/\nnone\n`,
    'GET /panoramix/endpoints/?status=OPEN\nnone\n',
    'GET /panoramix/endpoint/ep\nread\n',
    'GET /panoramix/messages/?endpoint_id=ep&box=INBOX&after=0&limit=10&wait=1\nread\n',
    'DELETE /panoramix/messages?endpoint_id=ep&box=INBOX&up_to=1\nread\n',
    `GET /panoramix/peers/${me}/meeting\nread\n`,
    `POST /panoramix/peers/${me}/nodes.json\nread\n{"mixnet":"${me}","founding":{},"log":[],"snapshot":null}`,
    'GET /panoramix/peers?status=READY\nnone\n',
    'GET /panoramix/openapi.json\nnone\n',
    'GET /metrics\nnone\n',
    'GET /nodes.json\nnone\n',
    'GET /health\nnone\n',
  ];
}

function post(path: string, resource: string, data: unknown): string {
  const body = { data, info: { resource, operation: 'create' } };
  return `POST /panoramix/${path}\nbody\n${JSON.stringify(body)}`;
}

function by(method: string, path: string, body: object, consensusId: string): string {
  const by_consensus = { consensus_id: consensusId, consensus_type: 'structural' };
  return `${method} /panoramix/${path}\nbody\n${JSON.stringify({ ...body, by_consensus })}`;
}
