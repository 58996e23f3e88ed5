/**
 * SQLSTATE classes and codes that mean "try again later": connection failures, shutdown, start-up, exhausted resources (disk,
 * memory, connections), and a deadlock, whose victim has written nothing and can be retried.
 */
const UNAVAILABLE_SQLSTATES = /^(08...|53...|57P0[1-4]|40P01)$/;
const UNAVAILABLE_MESSAGES =
  /Connection terminated|not queryable|timeout exceeded when trying to connect|ECONNREFUSED|ECONNRESET|the database system is/;
/** Codes of Node's sockets, and Prisma's for lost connections, timeouts and the victim of a deadlock. */
const UNAVAILABLE_CODES = new Set([
  ...['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037'],
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
]);

/** Prisma's error for a failed driver, which has the driver's code. */
interface DriverError {
  cause?: { originalCode?: unknown };
}

/** Whether the error means that PostgreSQL cannot be reached or has no room now, so that the same query can succeed later. */
export function isUnavailable(error: unknown): boolean {
  // Checks fields, not instanceof, because Node's own errors can come from another realm (Jest) with another Error class.
  const { code, message, meta, cause } = Object(error) as DriverError & {
    code?: unknown;
    message?: unknown;
    meta?: { driverAdapterError?: DriverError };
  };
  // Prisma's own code says little: P2039 stands for most SQLSTATEs. A commit fails with the driver's error itself.
  const codes = [code, meta?.driverAdapterError?.cause?.originalCode, cause?.originalCode];
  return (
    codes.some((found) => typeof found === 'string' && isUnavailableCode(found)) ||
    UNAVAILABLE_MESSAGES.test(`${String(message)} ${JSON.stringify(meta ?? '')}`)
  );
}

function isUnavailableCode(code: string): boolean {
  return UNAVAILABLE_CODES.has(code) || UNAVAILABLE_SQLSTATES.test(code);
}
