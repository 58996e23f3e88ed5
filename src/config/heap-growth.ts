import { setFlagsFromString } from 'node:v8';

/**
 * How much the heap may grow after a garbage collection before the next full one. V8 would let it grow to several times of what is
 * alive, and then the garbage of hostile or busy clients takes more memory than all that the service keeps for them.
 */
const GROWTH_PERCENT = 30;

/** To be called before the program allocates much. */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
