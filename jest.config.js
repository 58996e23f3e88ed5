/** Every test file gets a real Postgres database of its own; see test/support/setup/test-database.ts. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        module: { type: 'es6' },
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/setup/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/setup/global-teardown.ts',
  setupFiles: ['<rootDir>/test/support/setup/child-processes.mjs'],
  testTimeout: 60_000,
  maxWorkers: 2,
  // Jest keeps the modules of every test file for as long as its worker lives: 4.5 GB at the end of a run, and slow collections.
  workerIdleMemoryLimit: '1500MB',
};
