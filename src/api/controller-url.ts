/**
 * Which URLs of controllers may be talked to: https, or http to this very host. In plain HTTP who watches
 * the wire could tell apart, drop and replay packets by what the request says, and read who asks what.
 */
import { PanoramixError } from '../errors.ts';

/** Whether a host, as a URL or a socket names it, is this machine itself. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replaceAll(/^\[|\]$/g, '');
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Whether only this machine can reach a controller at this URL. */
export function isLoopbackUrl(url: string | URL): boolean {
  return isLoopbackHost(new URL(url).hostname);
}

/** Whether requests to this URL would cross a network in plain HTTP. */
export function isInsecureUrl(url: string | URL): boolean {
  return new URL(url).protocol !== 'https:' && !isLoopbackUrl(url);
}

/** Throws PanoramixError `url-insecure` for a URL that `isInsecureUrl`. */
export function requireSecureUrl(url: string | URL): void {
  if (!isInsecureUrl(url)) return;
  throw new PanoramixError(
    'url-insecure',
    `${new URL(url).origin} is plain HTTP to another host: give its controller a certificate (controller.tls) and use its https URL`,
  );
}

/**
 * Throws PanoramixError `config-invalid` where a node would tell all others to post packets to their own hosts.
 * @param ownUrl of the node's own controller, as it stands in the directory
 * @param meetingUrl where the mixnet's owners meet: on loopback for a mixnet that lives on one host
 */
export function requireUrlForOthers(ownUrl: string, meetingUrl: string): void {
  if (!isLoopbackUrl(ownUrl) || isLoopbackUrl(meetingUrl)) return;
  throw new PanoramixError(
    'config-invalid',
    `node.controller_url: ${ownUrl} is each host's own: name the https URL by which others reach this controller`,
  );
}
