import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

const ENTRY =
  /^(?:\[(?<ipv6>[0-9a-f:.]+)\]|(?<name>(?:\*?\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?))(?::(?<port>\d{1,5}))?$/i;

/** The host and port that a connection leads to. An IPv6 address may be in brackets. */
export interface Destination {
  hostname: string;
  port: number;
}

/** Whether the text can be an entry of NO_PROXY. */
export function isNoProxyEntry(entry: string): boolean {
  return entry === '*' || isIP(entry) !== 0 || ipaddr.isValidCIDR(entry) || ENTRY.test(entry);
}

/**
 * Whether an entry of NO_PROXY names this destination: `*`, a host with all its subdomains, with or without a leading dot or
 * `*.`, a host with a port, an IP address, or a range of them. Names are not resolved.
 */
export function isExempt({ hostname, port }: Destination, entry: string): boolean {
  if (entry === '*') return true;
  const host = bareHost(hostname);
  if (ipaddr.isValidCIDR(entry)) return isInRange(host, entry);
  const groups = ENTRY.exec(entry)?.groups;
  const name = bareHost(isIP(entry) ? entry : (groups?.['ipv6'] ?? groups?.['name'] ?? ''));
  if (groups?.['port'] !== undefined && Number(groups['port']) !== port) return false;
  if (isIP(host) || isIP(name)) return isSameAddress(host, name);
  const domain = name.replace(/^\*?\./, '');
  return host === domain || host.endsWith(`.${domain}`);
}

/** This machine. No proxy can reach it for us. */
export function isLoopback(hostname: string): boolean {
  const host = bareHost(hostname);
  return isIP(host) ? ipaddr.process(host).range() === 'loopback' : /(^|\.)localhost$/.test(host);
}

function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

function isInRange(host: string, range: string): boolean {
  if (!isIP(host)) return false;
  const address = ipaddr.process(host);
  const [network, bits] = ipaddr.parseCIDR(range);
  return address.kind() === network.kind() && address.match(network, bits);
}

function isSameAddress(host: string, name: string): boolean {
  return (
    isIP(host) !== 0 &&
    isIP(name) !== 0 &&
    ipaddr.process(host).toString() === ipaddr.process(name).toString()
  );
}
