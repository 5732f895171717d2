/** The server wizard's questions (D4.2 §5.1): a controller's own, and what it proposes to who creates a mixnet there. */
import {
  parseAddress,
  parseChoice,
  parseList,
  parseShape,
  parseText,
  type Choice,
  type Question,
} from './question.ts';
import { QUESTIONS } from './questions.ts';

const TLS: readonly Choice[] = [
  { value: 'files', hint: 'this controller ends TLS itself: certificate and key in files' },
  { value: 'proxy', hint: 'a proxy on this host or near it ends TLS' },
];
const IP = /^[\da-f:.]+$/i;

/** A question of the wizard's, its answer kept as the controller's proposal. */
function proposed(question: Question): Question {
  return {
    ...question,
    key: ['controller', 'proposal', question.key?.at(-1) ?? question.name],
    help: `What wizards propose to who creates a mix-net here. ${question.help}`,
  };
}

/** Every question of `panoramix server-wizard`. */
export const SERVER_QUESTIONS = {
  CATALOG_URL: {
    ...QUESTIONS.CATALOG_URL,
    key: ['controller', 'catalog_url'],
    help: 'Under which owners and nodes reach this controller; https beyond this host.',
  },
  tls: {
    name: 'tls',
    flag: 'tls',
    key: null,
    message: "Choose 'files' or 'proxy' for TLS",
    help: 'Who shows the certificate of this URL?',
    choices: TLS,
    parse: parseChoice(TLS),
  },
  TLS_CERT: {
    name: 'TLS_CERT',
    flag: 'tls-cert',
    key: ['controller', 'tls', 'cert'],
    message: 'Set the file of the certificate',
    help: 'PEM, with the chain; looked at again when it is renewed.',
    parse: parseText(4096),
  },
  TLS_KEY: {
    name: 'TLS_KEY',
    flag: 'tls-key',
    key: ['controller', 'tls', 'key'],
    message: "Set the file of the certificate's key",
    help: 'PEM, to be read by you alone.',
    parse: parseText(4096),
  },
  trusted_proxies: {
    name: 'trusted_proxies',
    flag: 'trusted-proxies',
    key: ['controller', 'trusted_proxies'],
    message: "Set the proxies' addresses{default}",
    help: 'Whose X-Forwarded-For is believed; the proxy has to set it.',
    proposal: '127.0.0.1',
    parse: parseList(IP, 'IP addresses'),
  },
  listen: {
    name: 'listen',
    flag: 'listen',
    key: ['controller', 'listen'],
    message: 'Where shall the controller listen?{default}',
    help: 'HOST:PORT on this host.',
    parse: parseAddress,
  },
  purpose: {
    ...proposed(QUESTIONS.purpose),
    message: 'What are mix-nets here for?{default}',
  },
  BACKEND: proposed(QUESTIONS.BACKEND),
  BODY_LEN: proposed(QUESTIONS.BODY_LEN),
  GROUP: proposed(QUESTIONS.GROUP),
  HEADER_LEN: proposed(QUESTIONS.HEADER_LEN),
  server_name: {
    name: 'server_name',
    flag: 'server-name',
    key: ['name'],
    message: 'Name this controller{default}',
    help: 'In its log.',
    proposal: 'controller',
    parse: parseShape(/^[\w.-]{1,64}$/, '1 to 64 letters, digits, _ . or -'),
  },
  data_dir: {
    ...QUESTIONS.data_dir,
    message: "Set the folder for the controller's data{default}",
    proposal: 'controller',
  },
  mixnet_file: {
    name: 'mixnet_file',
    flag: 'mixnet-file',
    key: ['controller', 'mixnet_file'],
    message: "Set the state file of your node's wizard{default}",
    help: 'Says who the nodes are, to whom room is kept. It need not be there yet.',
    proposal: 'node/mixnet.json',
    parse: parseText(4096),
  },
} as const satisfies Record<string, Question>;
