/**
 * What a mail's header says to us: whether it opted in, and which fields may not travel on.
 * Only fields of the mail itself count; an attached mail's fields are body.
 */
import { fieldText, scanHeader, withoutFields, type HeaderField } from './message.ts';

/** In lower case, as `HeaderField` has it. */
export const OPT_IN_FIELD = 'x-panoramix-mixable';
/** Signatures that name the fields they cover in `h=` (RFC 6376 §3.5, RFC 8617 §4.1.2). */
const SIGNATURE_FIELDS = new Set(['dkim-signature', 'arc-message-signature']);
const DECLINING = new Set(['', 'no', 'false', '0']);

export type OptIn = 'no' | 'yes' | 'required';

export interface HeaderView {
  readonly optIn: OptIn;
  /** Whether the header is longer than we look at: see `HEADER_BYTES_MAX`. */
  readonly truncated: boolean;
  readonly optInFields: readonly HeaderField[];
  readonly receivedFields: readonly HeaderField[];
}

/**
 * Reads a canonical mail's header. Any value but no, false, 0 or nothing opts in; `required` asks
 * never to leave in the clear. Several fields: the strongest wish holds, for a wish for privacy that
 * is overlooked cannot be taken back. Fields that a signature covers are not listed for removal.
 */
export function viewHeader(data: Uint8Array): HeaderView {
  const { fields, truncated } = scanHeader(data);
  const signed = new Set(
    fields.flatMap((field) =>
      SIGNATURE_FIELDS.has(field.name) ? signedNames(fieldText(data, field)) : [],
    ),
  );
  const named = (name: string): HeaderField[] => fields.filter((field) => field.name === name);
  const wishes = named(OPT_IN_FIELD).map((field) => wishOf(fieldText(data, field)));
  return {
    optIn: wishes.includes('required') ? 'required' : wishes.includes('yes') ? 'yes' : 'no',
    truncated,
    optInFields: signed.has(OPT_IN_FIELD) ? [] : named(OPT_IN_FIELD),
    receivedFields: signed.has('received') ? [] : named('received'),
  };
}

/** What enters the mixnet: without opt-in and Received, which name client, host and second. */
export function bytesToMix(data: Uint8Array, view: HeaderView): Uint8Array {
  const fields = [...view.optInFields, ...view.receivedFields];
  return withoutFields(
    data,
    fields.toSorted((left, right) => left.start - right.start),
  );
}

/** What goes back to Postfix: without the opt-in, so that no later gateway takes it for its own. */
export function bytesToPass(data: Uint8Array, view: HeaderView): Uint8Array {
  return withoutFields(data, view.optInFields);
}

function wishOf(value: string): OptIn {
  const wish = value.toLowerCase();
  if (DECLINING.has(wish)) return 'no';
  return /^required(?![\w-])/.test(wish) ? 'required' : 'yes';
}

/** The names in the `h=` tag of a signature (RFC 6376 §3.5), lower case. */
function signedNames(signature: string): string[] {
  return signature
    .split(';')
    .map((tag) => /^[ \t]*h[ \t]*=(.*)$/s.exec(tag)?.[1] ?? '')
    .flatMap((names) => names.split(':').map((name) => name.trim().toLowerCase()));
}
