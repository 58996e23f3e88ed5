import eslint from '@eslint/js';
import prettier from 'eslint-config-prettier';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';
import { portableCode } from './scripts/lint/portable-code.js';

/**
 * Words that docs/GLOSSARY.md replaced, as regular expressions for identifiers, with the word to use instead. A word
 * matches as a whole word of a camelCase or UPPER_SNAKE_CASE name.
 */
const RETIRED_WORDS = [
  [word('wish(?:es)?'), 'request'],
  [word('outlets?'), 'sink'],
  // `inFlight` and `singleFlight` are standard terms.
  [word('flights?', '(?<!in_?|In|IN_|single_?|Single|SINGLE_)'), 'inFlight'],
  [word('watchers?'), 'subscriber'],
  [word('pictures?'), 'image'],
  ['^[Rr]each(?![a-z])', 'visibility'],
  ['[Tt]akingTurns', 'FairScheduler'],
  ['[Ff]orgetting', 'Retention'],
  ['[Pp]ersistently', 'retryUntilDatabaseReturns'],
  ['^[Dd]elivering$', 'WebhookSender'],
  ['^[Uu]ploading$', 'Uploads'],
  ['^[Bb]udgeting$', 'Budgets'],
];

const RETIRED_NAMES = RETIRED_WORDS.map(([pattern, instead]) => ({
  selector: `:matches(Identifier, PrivateIdentifier)[name=/${pattern}/]`,
  message: `docs/GLOSSARY.md replaced this word. Use \`${instead}\`.`,
}));

/** A call such as `resize(image, true)` does not say what is true. */
const BOOLEAN_PARAMETERS = [
  ':function > Identifier.params > TSTypeAnnotation > TSBooleanKeyword',
  ':function > TSParameterProperty > Identifier > TSTypeAnnotation > TSBooleanKeyword',
  ':function > AssignmentPattern.params > Literal[raw=/^(true|false)$/]',
  ':function > TSParameterProperty > AssignmentPattern > Literal[raw=/^(true|false)$/]',
].map((selector) => ({ selector, message: 'Take an options object, so that calls name the value.' }));

/** The clock of an instance can be wrong and can jump, so no decision may depend on it. */
const INSTANCE_CLOCK = [
  'MemberExpression[object.name="Date"][property.name="now"]',
  'NewExpression[callee.name="Date"][arguments.length=0]',
  'CallExpression[callee.name="Date"]',
  'MemberExpression[object.name="performance"][property.name="timeOrigin"]',
].map((selector) => ({
  selector,
  message:
    'This is the clock of the instance. Use now() in the statement, `databaseNow` for a time that is stored, compared, signed ' +
    'or shown, and `performance.now()` for how long something takes (src/core/primitives/clock.ts).',
}));

/** Matches a lower-case word at the start of a name or after `_`, a capitalised one inside it, and an upper-case one. */
function word(pattern, notAfter = '') {
  const capitalised = pattern[0].toUpperCase() + pattern.slice(1);
  const upperCase = pattern.replace(/\(\?:|[a-z]+/g, (part) => (part === '(?:' ? part : part.toUpperCase()));
  return [
    `(?:^|_)${notAfter}${pattern}(?![a-z])`,
    `${notAfter}${capitalised}(?![a-z])`,
    `(?:^|_)${notAfter}${upperCase}(?![A-Za-z])`,
  ].join('|');
}

export default tseslint.config(
  {
    ignores: [
      'dist',
      'dist.*',
      'node_modules',
      'coverage',
      '.data',
      'src/db/generated',
      'clients/operations.ts',
    ],
  },
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  prettier,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Only src/config reads the environment; pass the value down.',
        },
        {
          object: 'URL',
          property: 'canParse',
          message: 'It is wrong in Node 20 once it is hot; take parseUrl of core/primitives/url.ts.',
        },
      ],
    },
  },
  {
    // A caller's text of some kilobytes could keep the event loop busy for seconds.
    files: ['src/**', 'clients/**', 'scripts/**'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential' }],
    },
  },
  {
    // The terminal is what these talk to, and they start child processes with an environment.
    files: ['src/main.ts', 'src/sandbox/main.ts', 'scripts/**', 'bench/**', 'test/**'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
  {
    // Not bench: it reads from /proc how much memory and time a process takes.
    files: ['src/**', 'scripts/**', 'test/support/**'],
    ...portableCode,
  },
  {
    // A constructor's metadata needs the class at run time, where type-graphql reads it.
    files: ['src/graphql/**'],
    rules: { '@typescript-eslint/consistent-type-imports': 'off' },
  },
  {
    files: ['src/**'],
    rules: {
      // Prettier wraps code, and no comments.
      'max-len': ['error', { code: 10_000, comments: 132, ignoreUrls: true }],
      'no-restricted-syntax': ['error', ...RETIRED_NAMES],
    },
  },
  {
    files: ['src/**'],
    // Express recognizes an error handler by its four parameters.
    ignores: ['src/sandbox/http/send-reply.ts'],
    rules: {
      '@typescript-eslint/max-params': ['error', { max: 3 }],
      'no-restricted-syntax': ['error', ...RETIRED_NAMES, ...BOOLEAN_PARAMETERS],
    },
  },
  {
    files: ['src/**'],
    // It stands in for the machine of someone else, whose clock is its own.
    ignores: ['src/sandbox/**'],
    rules: {
      'no-restricted-syntax': ['error', ...RETIRED_NAMES, ...BOOLEAN_PARAMETERS, ...INSTANCE_CLOCK],
    },
  },
  {
    files: ['test/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [
            {
              name: '@jest/globals',
              importNames: ['it', 'fit', 'xit'],
              message: 'Use `test`, with a sentence of behaviour as its name.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.cjs', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    // TypeScript knows the names of the platform. Here ESLint has to be told.
    languageOptions: {
      globals: Object.fromEntries(
        ['URL', 'clearInterval', 'console', 'performance', 'process', 'setInterval'].map((name) => [
          name,
          'readonly',
        ]),
      ),
    },
  },
);
