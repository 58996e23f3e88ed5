import { NotFound, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../core/errors.js';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { USER_AGENT } from '../core/primitives/url.js';
import { errorCode } from './incoming-files.js';

/** Address and credentials of an S3-compatible service. */
export interface S3ClientOptions {
  /** URL of the service. Null for Amazon's own in the region. */
  endpoint: string | null;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Until the response begins. Enough for a part of 8 MB at 1.1 Mbit/s. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Without a byte in either direction during a response. Also ends responses to browsers that stop reading for this long. */
const SOCKET_IDLE_TIMEOUT_MS = 60_000;
const DID_NOT_RESPOND = 'the bucket did not respond in time';
/** Every request is idempotent, because the content of a key never changes. */
const MAX_ATTEMPTS = 3;

/** Creates a client with a timeout for every wait. The caller must destroy it. */
export function createS3Client(options: S3ClientOptions): S3Client {
  const { endpoint, region, accessKeyId, secretAccessKey } = options;
  return new S3Client({
    ...(endpoint !== null && { endpoint }),
    region,
    // Added to the SDK's own.
    customUserAgent: USER_AGENT,
    credentials: { accessKeyId, secretAccessKey },
    // Puts the bucket in the path instead of the host name, as most services other than Amazon's require.
    forcePathStyle: true,
    maxAttempts: MAX_ATTEMPTS,
    // The default requires checksums that many services do not support.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without this the SDK only prints a warning.
      throwOnRequestTimeout: true,
      socketTimeout: SOCKET_IDLE_TIMEOUT_MS,
    },
  });
}

/** For `catch`: returns null when the key does not exist, and rethrows any other error. A missing bucket is another error. */
export function nullIfNoSuchKey(error: unknown): null {
  // A HEAD response has no body with an error code, so the SDK throws NotFound.
  if (error instanceof NotFound || hasErrorName(error, 'NoSuchKey')) return null;
  throw error;
}

/** Whether the service reported that the range starts past the last byte. */
export function isRangeNotSatisfiable(error: unknown): boolean {
  return hasErrorName(error, 'InvalidRange') || statusOf(error) === 416;
}

/**
 * Gives a call to the service up after `timeoutMs`, all its attempts together, and wraps its error. The reason contains the
 * status and error name of the service, never its message.
 */
export async function callBucket<T>(
  timeoutMs: number,
  work: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  try {
    const result = await withTimeout(work(controller.signal), timeoutMs);
    if (result !== TIMED_OUT) return result;
  } catch (cause) {
    throw new StoreUnavailable(bucketErrorReason(cause), { cause });
  }
  controller.abort();
  throw new StoreUnavailable(DID_NOT_RESPOND);
}

function bucketErrorReason(error: unknown): string {
  const status = statusOf(error);
  if (status !== undefined) return `the bucket returned status ${status} (${(error as Error).name})`;
  if (hasErrorName(error, 'TimeoutError', 'AbortError')) return DID_NOT_RESPOND;
  return `the bucket cannot be reached (${errorCode(error) ?? 'see the log for the cause'})`;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

function hasErrorName(error: unknown, ...names: string[]): boolean {
  return error instanceof Error && names.includes(error.name);
}
