/**
 * The wizard's questions, in the order and words of D4.2 §5 where it has them; ours stand between: what the
 * mixnet is for, what our node is to be, where a gateway listens, how much traffic there is.
 */
import { readInvitation } from '../../client/invitation.ts';
import {
  parseAddress,
  parseChoice,
  parseList,
  parseNumber,
  parseShape,
  parseText,
  parseUrl,
  type Choice,
  type Question,
} from './question.ts';

const DOMAIN =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

const BACKENDS: readonly Choice[] = [
  { value: 'SPHINXMIX', hint: 'Sphinx packets: mail, chat, surveys' },
  { value: 'ZEUS', hint: 're-encryption, for elections: not built yet', unbuilt: true },
];
const ROLES: readonly Choice[] = [
  { value: 'create', hint: 'coordinate a new mix-net and invite its other owners' },
  { value: 'join', hint: 'you hold an invitation' },
];
const PURPOSES: readonly Choice[] = [
  { value: 'mail', hint: 'mail between providers, each packet delayed on its own' },
  { value: 'batch', hint: 'cycles of messages: chat, surveys' },
];
const GROUPS: readonly Choice[] = [
  { value: 'X25519', hint: 'required for mail' },
  { value: '713', hint: "P-224, D4.2's; batch only, ten times slower" },
];
const GROUP_SPELLINGS = { 'P-224': '713', 'p-224': '713' };
const ACTIONS: readonly Choice[] = [
  { value: 'create', hint: 'draw a new one' },
  { value: 'set', hint: 'you bring 64 hex digits, in a file or typed unseen' },
];
const TYPES: readonly Choice[] = [
  { value: 'SPHINXMIX_GATEWAY', hint: 'one chain through all owners' },
  { value: 'SPHINXMIX', hint: 'a stop of each owner, random routes' },
];
const TRAFFIC: readonly Choice[] = [
  { value: 'usual', hint: '2 packets a second and gateway, 2 s mean delay a mix, 3 mixes a route' },
  { value: 'own', hint: 'ask for each number' },
];

/** Default sizes of a packet: ours for mail (design §6), D4.2's for batches. */
export const PACKETS = {
  mail: { GROUP: 'X25519', HEADER_LEN: '320', BODY_LEN: '32768' },
  batch: { GROUP: '713', HEADER_LEN: '192', BODY_LEN: '1024' },
} as const;

/** Every question of `panoramix wizard`. */
export const QUESTIONS = {
  CATALOG_URL: {
    name: 'CATALOG_URL',
    flag: 'catalog-url',
    key: ['mixnet', 'catalog_url'],
    message: 'Set CATALOG_URL{default}',
    help: "The controller on which all owners meet: the coordinator's.",
    proposal: 'http://127.0.0.1:8000/',
    parse: parseUrl,
  },
  tls_ca: {
    name: 'tls_ca',
    flag: 'tls-ca',
    key: ['tls_ca'],
    message: 'Which file holds the certificate of your own authority (PEM)?',
    help: 'Only where no public authority has signed the controllers’ certificates.',
    parse: parseText(1024),
  },
  role: {
    name: 'role',
    flag: 'role',
    key: ['mixnet', 'action'],
    message: "Choose 'create' or 'join' mix-net",
    help: 'One owner creates; the others join with an invitation each.',
    choices: ROLES,
    parse: parseChoice(ROLES),
  },
  purpose: {
    name: 'purpose',
    flag: 'purpose',
    key: ['mixnet', 'purpose'],
    message: 'What is the mix-net for?{default}',
    help: 'All owners say the same.',
    choices: PURPOSES,
    proposal: 'mail',
    parse: parseChoice(PURPOSES),
  },
  BACKEND: {
    name: 'BACKEND',
    flag: 'backend',
    key: ['mixnet', 'backend'],
    message: 'Select backend, one of SPHINXMIX, ZEUS{default}',
    help: 'How packets are made.',
    choices: BACKENDS,
    proposal: 'SPHINXMIX',
    parse: parseChoice(BACKENDS),
  },
  BODY_LEN: {
    name: 'BODY_LEN',
    flag: 'body-len',
    key: ['mixnet', 'body_len'],
    message: 'Set BODY_LEN{default}',
    help: 'Bytes of content in each packet; longer mail takes several packets.',
    parse: parseNumber(64, 1_048_576),
  },
  GROUP: {
    name: 'GROUP',
    flag: 'group',
    key: ['mixnet', 'group'],
    message: 'Set GROUP{default}',
    help: 'The curve of the mix keys.',
    choices: GROUPS,
    parse: parseChoice(GROUPS, GROUP_SPELLINGS),
  },
  HEADER_LEN: {
    name: 'HEADER_LEN',
    flag: 'header-len',
    key: ['mixnet', 'header_len'],
    message: 'Set HEADER_LEN{default}',
    help: 'Bytes of routing in each packet: 320 carries six hops with X25519.',
    parse: parseNumber(64, 65_536),
  },
  data_dir: {
    name: 'data_dir',
    flag: 'data-dir',
    key: ['data_dir'],
    message: 'Set the folder for keys and state{default}',
    help: "Counted from the configuration file's folder; readable by you alone.",
    proposal: 'node',
    parse: parseText(4096),
  },
  action: {
    name: 'action',
    flag: 'action',
    key: null,
    message: "No key available. Choose 'set' or 'create'{default}",
    help: 'The key that signs for you: written once, to be read by you alone.',
    choices: ACTIONS,
    proposal: 'create',
    parse: parseChoice(ACTIONS),
  },
  KEY_FILE: {
    name: 'KEY_FILE',
    flag: 'key-file',
    key: null,
    message: 'Read the key from which file? (empty: you type it)',
    help: '64 hex digits and a newline, mode 0600; - is standard input.',
    proposal: '',
    parse: parseText(4096, true),
  },
  SECRET: {
    name: 'SECRET',
    flag: '',
    key: null,
    message: 'Set SECRET',
    help: '64 hex digits; they are not shown.',
    parse: parseShape(/^[0-9a-fA-F]{64}$/, '64 hex digits'),
    isPrivate: true,
    isUnseen: true,
  },
  PEER_NAME: {
    name: 'PEER_NAME',
    flag: 'peer-name',
    key: ['name'],
    message: 'Specify name to register as peer{default}',
    help: 'Letters, digits, _ . and -; the other owners read it.',
    parse: parseShape(/^[\w.-]{1,64}$/, '1 to 64 letters, digits, _ . or -'),
  },
  name: {
    name: 'name',
    flag: 'name',
    key: ['mixnet', 'name'],
    message: 'Choose mix-net peer name{default}',
    help: 'The name of the mix-net, for its owners and users.',
    parse: parseText(64),
  },
  invitations: {
    name: 'invitations',
    flag: 'invitations',
    key: ['mixnet', 'invitations'],
    message: 'Give number of invitations to create',
    help: 'One for each other owner. Mail wants three mixes beside the two gateways of a mail.',
    parse: parseNumber(0, 100),
  },
  JOIN_INVITATION: {
    name: 'JOIN_INVITATION',
    flag: 'invitation',
    key: null,
    message: 'Give invitation to create mix peer',
    help: 'NEGOTIATION|TOKEN, as the coordinator sent it to you.',
    parse: (text) =>
      readInvitation(text)
        ? { value: text.trim() }
        : { problem: 'expected NEGOTIATION|TOKEN: 43 letters, a bar, 43 letters' },
    isPrivate: true,
  },
  roles: {
    name: 'roles',
    flag: 'roles',
    key: ['mixnet', 'roles'],
    message: 'What is your node to be: mix, gateway, or both?{default}',
    help: 'A gateway takes and delivers mail beside your Postfix; a mix relays for others.',
    proposal: 'mix',
    parse: (text) =>
      parseList(
        /^(mix|gateway)$/i,
        'mix, gateway, or both',
      )(text.replace(/^\s*both\s*$/i, 'mix gateway')),
  },
  domains: {
    name: 'domains',
    flag: 'domains',
    key: ['mixnet', 'domains'],
    message: 'Which mail domains does your gateway serve?',
    help: 'Each needs the record _panoramix.DOMAIN TXT "PEER_ID"; the others look for it.',
    parse: parseList(DOMAIN, 'domains such as example.org', true),
  },
  weight: {
    name: 'weight',
    flag: 'weight',
    key: ['mixnet', 'weight'],
    message: 'Set the weight of your gateway{default}',
    help: 'Its share of all cover traffic: 2 takes twice what 1 takes.',
    proposal: '1',
    parse: parseNumber(1, 1_000_000),
  },
  controller_url: {
    name: 'controller_url',
    flag: 'controller-url',
    key: ['node', 'controller_url'],
    message: "Set the URL of your node's own controller{default}",
    help: 'Where other nodes post to yours: the one that your server wizard set up.',
    parse: parseUrl,
  },
  traffic: {
    name: 'traffic',
    flag: 'traffic',
    key: null,
    message: 'How much traffic do you propose?{default}',
    help: 'The others may counter-propose. "panoramix simulate" says what numbers give and cost.',
    choices: TRAFFIC,
    proposal: 'usual',
    parse: parseChoice(TRAFFIC),
  },
  delay_mean_ms: {
    name: 'delay_mean_ms',
    flag: 'delay-mean-ms',
    key: ['mixnet', 'traffic', 'delay_mean_ms'],
    message: 'Set the mean delay at each mix, ms{default}',
    help: 'Longer hides better and delivers later.',
    proposal: '2000',
    parse: parseNumber(0, 3_600_000),
  },
  ticks_per_second: {
    name: 'ticks_per_second',
    flag: 'ticks-per-second',
    key: ['mixnet', 'traffic', 'ticks_per_second'],
    message: 'Set the packets that each gateway sends a second{default}',
    help: 'Mail if there is some, cover if not.',
    proposal: '2',
    parse: parseNumber(0.001, 1_000, false),
  },
  loops_per_second: {
    name: 'loops_per_second',
    flag: 'loops-per-second',
    key: ['mixnet', 'traffic', 'loops_per_second'],
    message: 'Set the loops that each node sends a second{default}',
    help: 'Packets to itself: they tell when somebody drops or delays.',
    proposal: '2',
    parse: parseNumber(0.001, 1_000, false),
  },
  mixes_per_route: {
    name: 'mixes_per_route',
    flag: 'mixes-per-route',
    key: ['mixnet', 'traffic', 'mixes_per_route'],
    message: 'Set the mixes of each route{default}',
    help: 'One honest mix among them hides a packet.',
    proposal: '3',
    parse: parseNumber(1, 4),
  },
  smtp: {
    name: 'smtp',
    flag: 'smtp',
    key: ['gateway', 'smtp'],
    message: 'Where shall the gateway listen for SMTP from Postfix?{default}',
    help: 'HOST:PORT; on loopback, for it has no passwords.',
    proposal: '127.0.0.1:10035',
    parse: parseAddress,
  },
  lmtp: {
    name: 'lmtp',
    flag: 'lmtp',
    key: ['gateway', 'lmtp'],
    message: 'Where shall the gateway listen for LMTP from Postfix?{default}',
    help: 'HOST:PORT; on loopback, for it has no passwords.',
    proposal: '127.0.0.1:10034',
    parse: parseAddress,
  },
  reinject: {
    name: 'reinject',
    flag: 'reinject',
    key: ['gateway', 'reinject'],
    message: 'Where does your Postfix take back mail that is not mixed?{default}',
    help: 'HOST:PORT of the re-injection service (docker/postfix/master.cf).',
    proposal: '127.0.0.1:10036',
    parse: parseAddress,
  },
  deliver: {
    name: 'deliver',
    flag: 'deliver',
    key: ['gateway', 'deliver'],
    message: 'Where does your Postfix take mail out of the mix-net?{default}',
    help: 'HOST:PORT of the delivery service (docker/postfix/master.cf).',
    proposal: '127.0.0.1:10037',
    parse: parseAddress,
  },
  hostname: {
    name: 'hostname',
    flag: 'hostname',
    key: ['gateway', 'hostname'],
    message: 'Which name does the gateway give in EHLO?{default}',
    help: 'The name of this host.',
    proposal: 'localhost',
    parse: parseShape(DOMAIN, 'a host name'),
  },
  ENDPOINT_NAME: {
    name: 'ENDPOINT_NAME',
    flag: 'endpoint-name',
    key: ['mixnet', 'endpoint', 'name'],
    message: 'Specify endpoint name to create on combined peer{default}',
    help: 'A small letter, then small letters, digits and _.',
    proposal: 'gateway',
    parse: parseShape(/^[a-z][a-z0-9_]{0,23}$/, '1 to 24 small letters, digits and _'),
  },
  ENDPOINT_TYPE: {
    name: 'ENDPOINT_TYPE',
    flag: 'endpoint-type',
    key: ['mixnet', 'endpoint', 'type'],
    message: 'Select endpoint type, one of SPHINXMIX_GATEWAY, SPHINXMIX{default}',
    help: 'How messages travel.',
    choices: TYPES,
    proposal: 'SPHINXMIX_GATEWAY',
    parse: parseChoice(TYPES),
  },
  MIN_SIZE: {
    name: 'MIN_SIZE',
    flag: 'min-size',
    key: ['mixnet', 'endpoint', 'size_min'],
    message: 'Specify minimum size{default}',
    help: 'A cycle is never mixed with fewer messages than this.',
    proposal: '3',
    parse: parseNumber(1, 1_000_000),
  },
  MAX_SIZE: {
    name: 'MAX_SIZE',
    flag: 'max-size',
    key: ['mixnet', 'endpoint', 'size_max'],
    message: 'Specify maximum size{default}',
    help: 'A cycle never takes more messages than this.',
    proposal: '10',
    parse: parseNumber(1, 1_000_000),
  },
  EP_DESCRIPTION: {
    name: 'EP_DESCRIPTION',
    flag: 'ep-description',
    key: ['mixnet', 'endpoint', 'description'],
    message: 'Give description{default}',
    help: 'Everybody may read it.',
    proposal: 'the mix-net gateway',
    parse: parseText(1024, true),
  },
} as const satisfies Record<string, Question>;

/** The names of the wizard's questions. */
export type QuestionName = keyof typeof QUESTIONS;
