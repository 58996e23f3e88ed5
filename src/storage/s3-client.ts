import { NotFound, S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../core/errors.js';
import { errorCode } from './incoming-files.js';

/** Address and credentials of an S3-compatible service. */
export interface S3ClientOptions {
  /** URL of the service. Null for Amazon's own in the region. */
  endpoint: string | null;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Puts the bucket in the path instead of the host name, as most services other than Amazon's require. */
  forcePathStyle: boolean;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Until the response begins. Enough for a part of 8 MB at 1.1 Mbit/s. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Without a byte in either direction during a response. Also ends responses to browsers that stop reading for this long. */
const SOCKET_IDLE_TIMEOUT_MS = 60_000;
/** Every request is idempotent, because the content of a key never changes. */
const MAX_ATTEMPTS = 3;

/** Creates a client with a timeout for every wait. The caller must destroy it. */
export function createS3Client(options: S3ClientOptions): S3Client {
  const { endpoint, region, accessKeyId, secretAccessKey, forcePathStyle } = options;
  const config: S3ClientConfig = {
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle,
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
  };
  if (endpoint !== null) config.endpoint = endpoint;
  return new S3Client(config);
}

/** Whether the service reported that the key does not exist. A missing bucket does not count. */
export function isNotFound(error: unknown): boolean {
  // A HEAD response has no body with an error code, so the SDK throws NotFound.
  return error instanceof NotFound || hasErrorName(error, 'NoSuchKey');
}

/** Whether the service reported that the range starts past the last byte. */
export function isRangeNotSatisfiable(error: unknown): boolean {
  return (
    hasErrorName(error, 'InvalidRange') || (error instanceof S3ServiceException && statusOf(error) === 416)
  );
}

/** Wraps an error of the service. The reason contains its status and error name, never its message. */
export function bucketError(error: unknown): StoreUnavailable {
  return error instanceof StoreUnavailable
    ? error
    : new StoreUnavailable(bucketErrorReason(error), { cause: error });
}

function bucketErrorReason(error: unknown): string {
  if (error instanceof S3ServiceException && statusOf(error) !== undefined)
    return `the bucket returned status ${statusOf(error)} (${error.name})`;
  if (hasErrorName(error, 'TimeoutError') || hasErrorName(error, 'AbortError'))
    return 'the bucket did not respond in time';
  return `the bucket cannot be reached (${errorCode(error) ?? 'see the log for the cause'})`;
}

function statusOf(error: S3ServiceException): number | undefined {
  return error.$metadata.httpStatusCode;
}

function hasErrorName(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
