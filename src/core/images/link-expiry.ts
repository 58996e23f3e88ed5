/** Unix seconds in 1997. A smaller number in a link is not a time, but a duration or something else. */
const MIN_UNIX_SECONDS = 864_000_000;
/** A number above this, which is in the year 5138, is in milliseconds. */
const MAX_UNIX_SECONDS = 100_000_000_000;
const BASIC_TIME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/**
 * The time until which a signed link works, as its query says. Knows the links of S3 and its relatives, CloudFront, Google Cloud
 * Storage, Azure and common image hosts. Null if it does not say.
 */
export function linkExpiry(url: string | null): Date | null {
  const query = url === null ? null : queryOf(url);
  if (!query) return null;
  for (const vendor of ['x-amz', 'x-goog', 'x-oss', 'x-tos', 'x-cos']) {
    const signedAt = parseBasicTime(query.get(`${vendor}-date`));
    const seconds = parseWhole(query.get(`${vendor}-expires`));
    if (signedAt !== null && seconds !== null) return dateOf(signedAt + seconds);
  }
  // Azure.
  if (query.has('sig')) return dateOf(Date.parse(query.get('se') ?? '') / 1_000);
  for (const name of ['expires', 'exp', 'expiry', 'expires_at', 'e']) {
    const seconds = parseWhole(query.get(name));
    if (seconds !== null && seconds > MIN_UNIX_SECONDS) return dateOf(seconds);
  }
  return null;
}

/** The parameters by their names in lower case. */
function queryOf(url: string): Map<string, string> | null {
  const start = url.indexOf('?');
  if (start < 0) return null;
  return new Map(
    [...new URLSearchParams(url.slice(start))].map(([name, value]) => [name.toLowerCase(), value]),
  );
}

/** Unix seconds of a time such as 20261129T080000Z. NaN for a date that does not exist. */
function parseBasicTime(text = ''): number | null {
  if (!BASIC_TIME.test(text)) return null;
  return Date.parse(text.replace(BASIC_TIME, '$1-$2-$3T$4:$5:$6Z')) / 1_000;
}

function parseWhole(text: string | undefined): number | null {
  return /^\d{1,13}$/.test(text ?? '') ? Number(text) : null;
}

/** Null for a time that JavaScript cannot express. */
function dateOf(seconds: number): Date | null {
  const milliseconds = seconds > MAX_UNIX_SECONDS ? seconds : seconds * 1_000;
  return Number.isFinite(milliseconds) ? new Date(milliseconds) : null;
}
