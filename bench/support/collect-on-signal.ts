/**
 * Loaded before a program whose memory is measured. Makes V8 collect garbage on SIGUSR2. Otherwise garbage from the start would
 * be included in the first measurement and reused later.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
// Called without the signal's name: with an argument, gc() would only collect the young generation.
process.on('SIGUSR2', () => collect());
