import { readFileSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Secrets can come from files, as container platforms mount them: NAME_FILE instead of NAME. */
export const SECRETS = [
  'DATABASE_URL',
  'FLUX_API_TOKEN',
  'SECRET_KEY',
  'SECRET_KEY_OLD',
  'S3_SECRET_KEY',
] as const;

/** An empty variable is an absent one: compose files and shells set many of those. */
export function withSecretFiles(environment: Environment, faults: string[]): Environment {
  const values = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  for (const name of SECRETS) {
    const file = values[`${name}_FILE`];
    if (file === undefined) continue;
    if (values[name] !== undefined) faults.push(`${name}: is set, and ${name}_FILE too; keep one of them`);
    try {
      values[name] = readFileSync(file, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE: ${unreadable(file, error)}`);
    }
  }
  return values;
}

/** What is wrong with a file that cannot be read. */
export function unreadable(file: string, error: unknown): string {
  return `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`;
}
