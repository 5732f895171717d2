/** What is proposed, as an operator reads it before he decides (D4.2 §5.2). */
import { formatDuration } from '../../terminal.ts';
import type { EndpointQuestion, NodesQuestion, Person, TermsQuestion } from '../decisions.ts';
import { describeDomain } from './sayings.ts';

/** Who, whether it is ourselves, and by which fingerprint. */
export function personLine({ peerId, fingerprint, isSelf, isCoordinator }: Person): string {
  const marks = [isSelf && 'you', isCoordinator && 'coordinator'].filter(Boolean).join(', ');
  return `  ${fingerprint}  ${peerId.slice(0, 16)}…${marks && ` (${marks})`}`;
}

/** Nodes with their domains' proofs, and traffic. */
export function nodesText(question: NodesQuestion): string {
  const { traffic, mixesAvailable, mixesNeeded } = question;
  const nodes = question.nodes.flatMap((node) => {
    const who = question.owners.find(({ peerId }) => peerId === node.owner);
    const self = who?.isSelf ? ' (you)' : '';
    const weight = node.roles.includes('gateway') ? `, weight ${node.weight}` : '';
    return [`  ${node.peer_id.slice(0, 16)}…${self}: ${node.roles.join(', ')}${weight}`].concat(
      question.domains
        .filter(({ peerId }) => peerId === node.peer_id)
        .map((finding) => `    ${describeDomain(finding)}`),
    );
  });
  return [
    'Proposed nodes:',
    ...nodes,
    `Proposed traffic: ${traffic.ticks_per_second} packets a second and gateway, ${formatDuration(traffic.delay_mean_ms)} mean delay a mix, ${traffic.mixes_per_route} mixes a route, ${traffic.loops_per_second} loops a second and node`,
    `A mix key lives ${formatDuration(question.keyLifetimeMs)}, a directory ${formatDuration(question.snapshotLifetimeMs)}.`,
    ...(mixesAvailable < mixesNeeded
      ? [
          `Attention: some routes find ${mixesAvailable} mixes of other owners instead of ${mixesNeeded}: a provider's own mix may then be on the route of its own mail.`,
        ]
      : []),
  ].join('\n');
}

/** As D4.2 §5.2 writes them. */
export function paramsText(params: TermsQuestion['terms']['params']): string {
  return `{BODY_LEN: ${params.BODY_LEN}, GROUP: ${params.GROUP}, HEADER_LEN: ${params.HEADER_LEN}}`;
}

/** An endpoint, by D4.2's names (§5.2). */
export function endpointText({ terms, coordinator, contribution }: EndpointQuestion): string {
  const waits = terms.waitMs === null ? '' : `, filled up after ${formatDuration(terms.waitMs)}`;
  return [
    `Peer ${coordinator.peerId} proposes an endpoint with contribution ${contribution}:`,
    `  ENDPOINT_NAME: ${terms.name}`,
    `  ENDPOINT_TYPE: ${terms.type}`,
    `  MIN_SIZE: ${terms.sizeMin}${waits}`,
    `  MAX_SIZE: ${terms.sizeMax}`,
    `  EP_DESCRIPTION: ${terms.description}`,
    terms.public
      ? '  Everybody may read what comes out.'
      : '  The owners alone read what comes out.',
  ].join('\n');
}
