import { type Logger } from 'pino';
import { type Config } from '../config/config.js';
import { type Cleanups } from './cleanups.js';
import { type Tuning } from './tuning.js';

/** The arguments that every step of the start receives. */
export interface AppContext {
  config: Config;
  log: Logger;
  tuning: Tuning;
  cleanups: Cleanups;
  /** The local URL at which the service listens, without a trailing slash. */
  url: string;
}
