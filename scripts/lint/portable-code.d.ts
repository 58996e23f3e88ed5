import { type Linter } from 'eslint';

/** The rule of eslint.config.js that refuses code which works on one operating system only. */
export const portableCode: Linter.Config;
