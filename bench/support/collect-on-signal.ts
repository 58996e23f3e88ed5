/**
 * Loaded before a program whose memory is measured: makes V8 collect its garbage on SIGUSR2. What a program has used since its
 * start and not given back yet is otherwise counted before the watchers come, and used by them afterwards.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
// With an argument, such as the signal's name, it would collect what is young alone.
process.on('SIGUSR2', () => collect());
