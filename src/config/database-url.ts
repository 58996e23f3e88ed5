import { parseUrl } from '../core/primitives/url.js';
import { SESSION_SETTINGS } from '../db/postgres/pool.js';

/** The values of `sslmode` that pg knows. All but the last two check the certificate and its name, unlike in other programs. */
const SSL_MODES = ['require', 'verify-ca', 'verify-full', 'prefer', 'disable', 'no-verify'];
/** What pg reads from the URL. */
const PARAMETERS = [
  ...['sslmode', 'ssl', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation', 'uselibpqcompat'],
  ...['options', 'application_name', 'host', 'port', 'user', 'password'],
  ...['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'],
];
/** What providers write into their URLs for other programs, and what may be ignored. Any other parameter is a mistake. */
const IGNORED_PARAMETERS = [
  ...['schema', 'channel_binding', 'connect_timeout', 'target_session_attrs', 'gssencmode'],
  ...[
    'fallback_application_name',
    'keepalives',
    'keepalives_idle',
    'keepalives_interval',
    'keepalives_count',
  ],
];
/** Parameters of Prisma's own connections, and of poolers in transaction mode. */
const PRISMA_PARAMETERS = ['connection_limit', 'pool_timeout', 'pgbouncer', 'socket_timeout', 'sslaccept'];
/** The parameters that name a file. */
export const FILE_PARAMETERS = ['sslrootcert', 'sslcert', 'sslkey'];
/** The settings that each connection makes itself, because the statements need them. pg sets the encoding. */
const OWN_SETTINGS = [...Object.keys(SESSION_SETTINGS), 'client_encoding'];
const OWN_SETTING = new RegExp(`(?:^|\\s)(?:-c\\s*|--)(${OWN_SETTINGS.join('|')})\\s*=`, 'i');

/** Why this DATABASE_URL cannot work and what to write instead, as the end of a sentence. Null when it can. Quotes no password. */
export function faultOfDatabaseUrl(text: string): string | null {
  const url = parseUrl(text);
  if (!/^postgres(ql)?:\/\//.test(text))
    return 'must look like postgresql://user:password@host:5432/database';
  if (!url || url.hash !== '')
    return 'must look like postgresql://user:password@host:5432/database. In a user name or password, write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25';
  if (!isDecodable(url))
    return 'has a % that no two hexadecimal digits follow. In a user name or password, write % as %25';
  for (const [name, value] of url.searchParams) {
    const fault = faultOfParameter(name, value);
    if (fault !== null) return fault;
  }
  return null;
}

function faultOfParameter(name: string, value: string): string | null {
  if (name === 'schema' && value !== 'public')
    return `must not have schema=${value}. Darkroom keeps its tables in the schemas public and graphile_worker of a database of its own. Create one (CREATE DATABASE darkroom), name it in the URL, and leave out schema=`;
  if (PRISMA_PARAMETERS.includes(name))
    return `must not have ${name}, which has no effect here. Leave it out. Name PostgreSQL itself, or a pooler in session mode`;
  if (![...PARAMETERS, ...IGNORED_PARAMETERS].includes(name))
    return `has the unknown parameter ${name}. Leave it out, or use one of ${PARAMETERS.join(', ')}`;
  if (name === 'sslmode' && !SSL_MODES.includes(value))
    return `has an unknown sslmode. Use verify-full, with sslrootcert=/path/to/ca.pem for an authority of your own, or disable`;
  const [, setting] = (name === 'options' && OWN_SETTING.exec(value)) || [];
  if (setting !== undefined)
    return `must not set ${setting} in options, because Darkroom sets it itself. Leave it out`;
  return null;
}

function isDecodable({ username, password, pathname }: URL): boolean {
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}
