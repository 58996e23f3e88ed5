/** `npm run bench -- <name> [--seconds <n>]`: runs a benchmark. Prints a table and, as the last line, one JSON object. */
import { parseArgs } from 'node:util';
import { callbacks } from './callbacks.js';
import { create } from './create.js';
import { drain } from './drain.js';
import { fanout } from './fanout.js';
import { featureTax } from './feature-tax.js';
import { history } from './history.js';
import { hostile } from './hostile.js';
import { idle } from './idle.js';
import { images } from './images.js';
import { jobStart } from './job-start.js';
import { latency } from './latency.js';
import { lostCallbacks } from './lost-callbacks.js';
import { notifyTax } from './notify-tax.js';
import { prisma } from './prisma.js';
import { read } from './read.js';
import { rls } from './rls.js';
import { withReleases } from './support/releases.js';
import { storm } from './storm.js';
import { fairScheduling } from './fair-scheduling.js';
import { type Bench } from './support/bench.js';
import { heldRequests } from './held-requests.js';

const BENCHES: Record<string, Bench> = {
  create,
  history,
  callbacks,
  drain,
  fanout,
  latency,
  'job-start': jobStart,
  'feature-tax': featureTax,
  'notify-tax': notifyTax,
  images,
  idle,
  storm,
  'lost-callbacks': lostCallbacks,
  'fair-scheduling': fairScheduling,
  'held-requests': heldRequests,
  hostile,
  read,
  rls,
  prisma,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' } },
});
const [name = ''] = positionals;
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);

if (!bench) {
  const problem = name ? `Unknown benchmark "${name}".` : 'No benchmark was named.';
  console.error(`${problem} Use one of: ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(1);
}
if (seconds !== undefined && !(seconds > 0)) {
  console.error(`--seconds is "${values.seconds}". Give a number above 0.`);
  process.exit(1);
}
await withReleases((release) => bench({ seconds, release }));
