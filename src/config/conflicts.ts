import { readFileSync } from 'node:fs';
import { isPrivateUrl } from '../net/ssrf-guard.js';
import { FILE_PARAMETERS } from './database-url.js';
import { describeReadError, type Environment } from './secret-files.js';
import { type EnvironmentValues } from './variables.js';

/** Errors of variables that depend on others. `variables` has only those that are set. */
export function conflictsOf(values: EnvironmentValues, variables: Environment): string[] {
  const errors = unreadableFilesOf(values.DATABASE_URL);
  if (values.FLUX_MODE === 'callback' && values.FLUX_API_TOKEN && !values.PUBLIC_URL)
    errors.push(
      'PUBLIC_URL: is required for FLUX_MODE=callback, so that the upstream can reach this service. Set it, or use FLUX_MODE=async',
    );
  if (
    values.FLUX_MODE === 'callback' &&
    values.FLUX_API_TOKEN &&
    isPrivateUrl(values.PUBLIC_URL ?? '') &&
    !isPrivateUrl(values.FLUX_BASE_URL)
  )
    errors.push(
      'PUBLIC_URL: must be reachable from the upstream for FLUX_MODE=callback, and this host is private. Set a public URL, or use FLUX_MODE=async',
    );
  if (/\/flux\/(images|tasks)$/.test(values.FLUX_BASE_URL))
    errors.push(
      `FLUX_BASE_URL: must be the base URL, to which /flux/images and /flux/tasks are appended. Write ${values.FLUX_BASE_URL.replace(/\/flux\/\w+$/, '')}`,
    );
  if (values.PUBLIC_URL?.endsWith('/graphql'))
    errors.push(
      `PUBLIC_URL: must be the base URL, to which /graphql and other paths are appended. Write ${values.PUBLIC_URL.replace(/\/graphql$/, '')}`,
    );
  if (/^https?:\/\/(0\.0\.0\.0|\[::\])(:|\/|$)/.test(values.PUBLIC_URL ?? ''))
    errors.push(
      'PUBLIC_URL: must be an address that browsers and the upstream can reach. 0.0.0.0 and :: are only for HOST',
    );
  if (values.FLUX_API_TOKEN && values.FLUX_BASE_URL === values.PUBLIC_URL)
    errors.push(
      'FLUX_BASE_URL: must not be this service itself (PUBLIC_URL), which would send each request to itself. Set it to the upstream',
    );
  if (values.S3_BUCKET !== undefined && variables.IMAGE_STORE === undefined)
    errors.push('IMAGE_STORE: is required with S3_BUCKET. Set it to s3 to use the bucket, or to disk');
  for (const name of ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const) {
    if (values.IMAGE_STORE === 's3' && values[name] === undefined)
      errors.push(`${name}: is required for IMAGE_STORE=s3. Set it, or use IMAGE_STORE=disk`);
  }
  if ((values.OIDC_ISSUER === undefined) !== (values.OIDC_AUDIENCE === undefined))
    errors.push(
      'OIDC_ISSUER: must be set together with OIDC_AUDIENCE. Set both, or neither. Without an audience, tokens for other services would be accepted',
    );
  return errors;
}

/** Errors of the certificates and keys that DATABASE_URL names. pg would end the process at the first connection. */
function unreadableFilesOf(databaseUrl: string | undefined): string[] {
  const parameters = databaseUrl === undefined ? null : new URL(databaseUrl).searchParams;
  return FILE_PARAMETERS.flatMap((name) => {
    const file = parameters?.get(name);
    if (!file) return [];
    if (file === 'system')
      return [`DATABASE_URL: must not have ${name}=system. Leave it out, and public authorities are trusted`];
    try {
      readFileSync(file);
      return [];
    } catch (error) {
      return [`DATABASE_URL: ${name}: ${describeReadError(file, error)}. Write the path of a PEM file`];
    }
  });
}
