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

/**
 * Returns the environment with the secrets of NAME_FILE variables filled in. Appends to `errors` what cannot be read.
 * Removes empty variables, because compose files and shells often set them.
 */
export function readSecretFiles(environment: Environment, errors: string[]): Environment {
  const values = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  for (const name of SECRET_VARIABLES) {
    const file = values[`${name}_FILE`];
    if (file === undefined) continue;
    if (values[name] !== undefined)
      errors.push(`${name}: is set together with ${name}_FILE. Keep one of them`);
    try {
      values[name] = readFileSync(file, 'utf8').trim();
    } catch (error) {
      errors.push(`${name}_FILE: ${describeReadError(file, error)}`);
    }
  }
  return values;
}

/** Describes why a file cannot be read. */
export function describeReadError(file: string, error: unknown): string {
  return `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`;
}
