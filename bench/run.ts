/** `npm run bench -- <name> [--seconds <n>]`: measures one thing, prints a table, and one line of JSON at the end. */
import { parseArgs } from 'node:util';
import { callbacks } from './callbacks.js';
import { create } from './create.js';
import { drain } from './drain.js';
import { fanout } from './fanout.js';
import { featureTax } from './feature-tax.js';
import { history } from './history.js';
import { images } from './images.js';
import { latency } from './latency.js';
import { lostCallbacks } from './lost-callbacks.js';
import { notifyTax } from './notify-tax.js';
import { rls } from './rls.js';
import { withReleases } from './support/releases.js';
import { storm } from './storm.js';
import { turns } from './turns.js';
import { type Bench } from './support/bench.js';
import { waiting } from './waiting.js';

const BENCHES: Record<string, Bench> = {
  create,
  history,
  callbacks,
  drain,
  fanout,
  latency,
  'feature-tax': featureTax,
  'notify-tax': notifyTax,
  images,
  storm,
  'lost-callbacks': lostCallbacks,
  turns,
  waiting,
  rls,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' } },
});
const [name = ''] = positionals;
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);

if (!bench) {
  const problem = name ? `There is no bench named "${name}".` : 'Say which bench to run.';
  console.error(`${problem} There are: ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(1);
}
if (seconds !== undefined && !(seconds > 0)) {
  console.error(`--seconds is "${values.seconds}"; give a number above 0.`);
  process.exit(1);
}
await withReleases((release) => bench({ seconds, release }));
