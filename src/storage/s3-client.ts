import { NotFound, S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../core/errors.js';
import { codeOf } from './incoming-files.js';

/** Where a bucket is and who we are to it. */
export interface S3Account {
  /** The service's URL; null: Amazon's own for the region. */
  endpoint: string | null;
  region: string;
  accessKey: string;
  secretKey: string;
  /** The bucket in the path and not in the host name, as most services besides Amazon's want it. */
  forcePathStyle: boolean;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Until the answer begins: a part of 8 MB at 1.1 Mbit/s. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Without a byte either way, in the middle of an answer. A browser that takes nothing for as long is cut with it. */
const SILENCE_TIMEOUT_MS = 60_000;
/** Every request here can be sent twice: what is stored under a key is always the same. */
const ATTEMPTS = 3;

/** A client with limits on every wait. Whoever makes it destroys it. */
export function makeS3Client(account: S3Account): S3Client {
  const { endpoint, region, accessKey, secretKey, forcePathStyle } = account;
  const config: S3ClientConfig = {
    region,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    forcePathStyle,
    maxAttempts: ATTEMPTS,
    // The default asks for checksums that many services do not know.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without this the SDK only prints a warning.
      throwOnRequestTimeout: true,
      socketTimeout: SILENCE_TIMEOUT_MS,
    },
  };
  if (endpoint !== null) config.endpoint = endpoint;
  return new S3Client(config);
}

/** Whether the service said that there is no such key. A bucket that is not there is another matter. */
export function isAbsent(error: unknown): boolean {
  // A HEAD has no body to say which of the two it is.
  return error instanceof NotFound || hasName(error, 'NoSuchKey');
}

/** Whether the service said that the range begins behind the last byte. */
export function isBehindTheEnd(error: unknown): boolean {
  return hasName(error, 'InvalidRange') || (error instanceof S3ServiceException && statusOf(error) === 416);
}

/** What went wrong, as a failure of the store: the service's status and name of it, never its message. */
export function bucketFailed(error: unknown): StoreUnavailable {
  return error instanceof StoreUnavailable ? error : new StoreUnavailable(reasonFor(error), { cause: error });
}

function reasonFor(error: unknown): string {
  if (error instanceof S3ServiceException && statusOf(error) !== undefined)
    return `the bucket answered ${statusOf(error)} (${error.name})`;
  if (hasName(error, 'TimeoutError') || hasName(error, 'AbortError'))
    return 'the bucket did not answer in time';
  return `the bucket cannot be reached (${codeOf(error) ?? 'the cause is in the log'})`;
}

function statusOf(error: S3ServiceException): number | undefined {
  return error.$metadata.httpStatusCode;
}

function hasName(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
