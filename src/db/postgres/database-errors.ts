/** Errors that mean "try again later". Every other error is our fault or the caller's, and is never tried again. */
interface Outage {
  /** Beginnings of codes: SQLSTATEs and their classes, which are the first two characters, and codes of Node.js and of Prisma. */
  codes?: readonly string[];
  /** After an error of one of these severities, PostgreSQL closes the connection, whatever its code is. */
  severities?: readonly string[];
  /** A field that only such errors have, whatever their code is. */
  field?: 'syscall';
  /** Parts of the messages of pg, whose errors have no code. Those of the server can quote what a caller wrote. */
  messages?: readonly string[];
  meaning: string;
  /** The connection would fail every time, so it is closed. A new one may lead to another server. */
  replaceConnection: boolean;
}

/**
 * docs/OPERATIONS.md has this table. A test compares them. Class XX is not in it: an internal error and a damaged row are the same
 * at every repetition, and often ours, such as a plan that PostgreSQL cannot make. If they end the session, they are FATAL.
 */
export const OUTAGES: readonly Outage[] = [
  { codes: ['08'], meaning: 'The connection failed.', replaceConnection: true },
  {
    codes: ['25006'],
    meaning: 'The server is read-only, such as a primary that was demoted.',
    replaceConnection: true,
  },
  {
    codes: ['28', '3D000'],
    meaning:
      'The server does not know the user, the password or the database, such as a wrong one after a failover.',
    replaceConnection: true,
  },
  {
    codes: ['40001', '40P01'],
    meaning: 'A deadlock, or a conflict on a standby. Its victim has written nothing.',
    replaceConnection: false,
  },
  { codes: ['53'], meaning: 'No disk space, memory or connection is left.', replaceConnection: false },
  { codes: ['55P03'], meaning: 'A lock was not available in time.', replaceConnection: false },
  { codes: ['57014'], meaning: 'The server canceled the statement.', replaceConnection: false },
  {
    codes: ['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04'],
    meaning: 'The server starts or shuts down, or has ended the session.',
    replaceConnection: true,
  },
  { codes: ['58'], meaning: 'The server could not read or write a file.', replaceConnection: true },
  {
    severities: ['FATAL', 'PANIC'],
    meaning: 'The server refused or ended the session, with whatever code.',
    replaceConnection: true,
  },
  {
    codes: [
      ...['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH'],
      ...['ENETUNREACH', 'ENETDOWN', 'EHOSTDOWN', 'ECONNABORTED', 'EADDRNOTAVAIL', 'EMFILE', 'ENFILE'],
      'EPROTO',
    ],
    field: 'syscall',
    meaning: 'A socket, a file or the name server failed, with whatever code.',
    replaceConnection: true,
  },
  {
    codes: [
      ...['ERR_SSL_', 'ERR_TLS_', 'CERT_', 'UNABLE_TO_', 'SELF_SIGNED_CERT', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      ...['HOSTNAME_MISMATCH', 'TlsConnectionError'],
    ],
    meaning: 'TLS failed, or the certificate of the server is not trusted.',
    replaceConnection: true,
  },
  {
    messages: ['does not support SSL connections', 'establishing an SSL connection', 'SASL:'],
    meaning: 'The server cannot use TLS, or does not know the password.',
    replaceConnection: true,
  },
  {
    messages: ['Query read timeout'],
    meaning: 'The server has not answered within the time limit of the statement.',
    replaceConnection: true,
  },
  {
    messages: [
      ...[
        'Connection terminated',
        'Client was closed',
        'not queryable',
        'Client has encountered a connection error',
      ],
      ...['timeout exceeded when trying to connect', 'the database system is'],
    ],
    meaning: 'There is no connection, or none was free in time.',
    replaceConnection: true,
  },
  {
    codes: [
      ...['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037'],
      ...['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout'],
    ],
    meaning: 'Prisma Client reports one of the errors above.',
    replaceConnection: false,
  },
];

/** Prisma's error for a failed driver, which has the driver's code. */
interface DriverError {
  cause?: {
    originalCode?: unknown;
    /** The only name of an error that a socket had during a raw statement, or while a transaction was committed. */
    kind?: unknown;
    severity?: unknown;
  };
}

/** Checks fields, not instanceof, because Node's own errors can come from another realm (Jest) with another Error class. */
interface ErrorFields extends DriverError {
  code?: unknown;
  severity?: unknown;
  syscall?: unknown;
  message?: unknown;
  meta?: { driverAdapterError?: DriverError };
  /** Of an AggregateError: one for each address of the host that Node.js could not connect to. */
  errors?: unknown;
}

/** Whether the error means that PostgreSQL cannot be reached or has no room now, so that the same query can succeed later. */
export function isUnavailable(error: unknown): boolean {
  return findOutage(error) !== undefined;
}

/** Whether a statement was given up because it took too long, by this side or by the server. */
export function isStatementTimeout(error: unknown): boolean {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  return code === '57014' || String(message).includes('Query read timeout');
}

/** Whether a statement, or a connection for it, has already been waited for. */
export function isTimeout(error: unknown): boolean {
  const { message } = Object(error) as { message?: unknown };
  return isStatementTimeout(error) || String(message).includes('timeout exceeded');
}

/** Whether the connection that had this error must not be used again. */
export function mustReplaceConnection(error: unknown): boolean {
  return findOutage(error)?.replaceConnection ?? false;
}

function findOutage(error: unknown): Outage | undefined {
  const fields = Object(error) as ErrorFields;
  const { code, severity, message, meta, cause, errors } = fields;
  const driverCause = meta?.driverAdapterError?.cause;
  // Prisma's own code says little: P2039 stands for most SQLSTATEs. A commit fails with the driver's error itself.
  const { originalCode, kind } = driverCause ?? {};
  const codes = [originalCode, kind, cause?.originalCode, cause?.kind, code].filter(
    (found) => typeof found === 'string',
  );
  const severities = [driverCause?.severity, cause?.severity, severity];
  const isFromServer = [originalCode, cause?.originalCode, severity].some(Boolean);
  const text = isFromServer ? '' : `${String(message)} ${JSON.stringify(meta ?? '')}`;
  return (
    OUTAGES.find(
      (outage) =>
        outage.codes?.some((prefix) => codes.some((found) => found.startsWith(prefix))) ||
        outage.severities?.some((fatal) => severities.includes(fatal)) ||
        (outage.field && typeof fields[outage.field] === 'string') ||
        outage.messages?.some((part) => text.includes(part)),
    ) ?? (Array.isArray(errors) ? errors.map(findOutage).find(Boolean) : undefined)
  );
}

/** Causes that an operator can do more about than starting PostgreSQL. The first that matches the code or the message. */
const CONNECTION_ADVICE: readonly [RegExp, string][] = [
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_|ALTNAME/,
    'Its certificate is not trusted. Unlike in psql, sslmode=require checks it. Name its authority in DATABASE_URL with ' +
      'sslmode=verify-full&sslrootcert=/path/to/ca.pem, or write sslmode=no-verify to encrypt without a check.',
  ],
  [/does not support SSL/, 'Turn on TLS in PostgreSQL, or write sslmode=disable in DATABASE_URL.'],
  [
    /no encryption|SSL off|SSL.* required/i,
    'Add sslmode=verify-full to DATABASE_URL, because this PostgreSQL wants TLS.',
  ],
  [
    /startup parameter/,
    'Set ignore_startup_parameters = options in PgBouncer, or connect to PostgreSQL itself.',
  ],
  [
    /^(28P01|28000)\b/,
    'Correct the user name and password in DATABASE_URL, with other characters than letters and digits percent-encoded.',
  ],
  [/^3D000\b/, 'Create the database, or correct its name in DATABASE_URL.'],
];

/** The error for a PostgreSQL that cannot be reached at the start. It says what to change. */
export function connectionError(databaseUrl: string, cause: unknown): Error {
  const { hostname, port } = new URL(databaseUrl);
  const reason = cause instanceof Error ? cause.message : String(cause);
  const where = `PostgreSQL at ${hostname}:${port || 5432}`;
  const { code = '' } = Object(cause) as { code?: string };
  const [, advice = 'Start PostgreSQL, or correct DATABASE_URL.'] =
    CONNECTION_ADVICE.find(([pattern]) => pattern.test(`${code} ${reason}`)) ?? [];
  return new Error(`Cannot connect to ${where} (${reason}). ${advice}`, { cause });
}
