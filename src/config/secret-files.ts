import { readFileSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Secrets that can be read from a file, as container platforms mount them: NAME_FILE holds the path. */
export const SECRET_VARIABLES = [
  'DATABASE_URL',
  'FLUX_API_TOKEN',
  'SECRET_KEY',
  'SECRET_KEY_PREVIOUS',
  'S3_SECRET_KEY',
] as const;

/** Variables that other programs also read in lower case. curl takes the lower-case one if both are set. */
const PROXY_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'] as const;

/**
 * Returns the environment with the secrets of NAME_FILE variables filled in, and without spaces and line ends around values.
 * Appends to `errors` what cannot be read. Removes empty variables, because compose files and shells often set them.
 */
export function readSecretFiles(environment: Environment, errors: string[]): Environment {
  const values: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(environment)) {
    const trimmed = value?.trim();
    if (trimmed) values[name] = trimmed;
  }
  for (const name of PROXY_VARIABLES) values[name] = values[name.toLowerCase()] ?? values[name];
  for (const name of SECRET_VARIABLES) {
    const file = values[`${name}_FILE`];
    if (file === undefined) continue;
    if (values[name] !== undefined)
      errors.push(`${name}: is set together with ${name}_FILE. Keep one of them`);
    try {
      values[name] = decodeText(readFileSync(file)).trim() || undefined;
      if (values[name] === undefined)
        errors.push(`${name}_FILE: ${file} is empty. Write the value into it, or unset ${name}_FILE`);
    } catch (error) {
      errors.push(`${name}_FILE: ${describeReadError(file, error)}`);
    }
  }
  return values;
}

/** Describes why a file cannot be read. */
export function describeReadError(file: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
    ? `${file} is not UTF-8 text. Save it as UTF-8`
    : `${file} cannot be read (${code ?? message})`;
}

/** Editors on Windows save UTF-16 or put a byte order mark first, which `trim` removes. */
function decodeText(bytes: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
