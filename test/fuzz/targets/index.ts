/** Every target by its name, loaded where it is wanted: one that cannot be loaded stops no other. */
import type { OpenTarget } from '../target.ts';

/** How a target is loaded. */
export const TARGETS: Readonly<Record<string, () => Promise<OpenTarget>>> = {
  address: async () => (await import('./address.ts')).openAddress,
  'smtp-command': async () => (await import('./smtp-command.ts')).openSmtpCommand,
  'smtp-session': async () => await session('smtp'),
  'lmtp-session': async () => await session('lmtp'),
  'smtp-replies': async () => (await import('./smtp-replies.ts')).openSmtpReplies,
  'mail-message': async () => (await import('./mail-message.ts')).openMailMessage,
  bounce: async () => (await import('./bounce.ts')).openBounce,
  report: async () => (await import('./report.ts')).openReport,
  'sphinx-packet': async () => await packets('X25519'),
  'sphinx-packet-p224': async () => await packets('P-224'),
  'sphinx-forged': async () => (await import('./sphinx-forged.ts')).openSphinxForged,
  fragment: async () => (await import('./fragment.ts')).openFragment,
  envelope: async () => (await import('./envelope.ts')).openEnvelope,
  'short-texts': async () => (await import('./short-texts.ts')).openShortTexts,
  json: async () => (await import('./json.ts')).openJson,
  'api-texts': async () => (await import('./api-texts.ts')).openApiTexts,
  'signed-read': async () => (await import('./signed-read.ts')).openSignedRead,
  controller: async () => (await import('./controller.ts')).openController,
  'controller-answers': async () => (await import('./controller-answers.ts')).openControllerAnswers,
  'nodes-json': async () => (await import('./nodes-json.ts')).openNodesJson,
  'signed-directory': async () => (await import('./nodes-json.ts')).openSignedDirectory,
  config: async () => (await import('./config.ts')).openConfig,
  'state-files': async () => (await import('./state-files.ts')).openStateFiles,
  'redis-values': async () => (await import('./redis-values.ts')).openRedisValues,
};

async function session(protocol: 'smtp' | 'lmtp'): Promise<OpenTarget> {
  const { openSmtpSession } = await import('./smtp-session.ts');
  return async () => await openSmtpSession(protocol);
}

async function packets(group: 'X25519' | 'P-224'): Promise<OpenTarget> {
  const { openSphinxPacket } = await import('./sphinx-packet.ts');
  return () => openSphinxPacket(group);
}
