import { type Logger } from 'pino';
import { type Config } from '../config/config.js';
import { type Releases } from './releases.js';
import { type Tuning } from './tuning.js';

/** What every part of a start is given. */
export interface Start {
  config: Config;
  log: Logger;
  tuning: Tuning;
  releases: Releases;
  /** Where we listen on this machine, without a slash at the end. */
  url: string;
}
