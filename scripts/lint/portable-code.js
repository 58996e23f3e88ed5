import { builtinRules } from 'eslint/use-at-your-own-risk';

/** What works on the system where it was written and fails on another, and what to write instead. */
const NOT_PORTABLE = [
  [
    'MemberExpression[property.name="pathname"][object.type="NewExpression"][object.callee.name="URL"]:has(MetaProperty)',
    'This is /C:/… on Windows, with spaces as %20. Use fileURLToPath.',
  ],
  [
    'Literal[value=/^\\u002f(bin|dev|etc|home|opt|proc|root|run|sbin|tmp|usr|var)(\\u002f|$)/]',
    'Windows has no such path, nor has macOS some of them. Use tmpdir(), or ask for process.platform first.',
  ],
  [
    'TemplateElement[value.raw=/^\\u002f(bin|dev|etc|home|opt|proc|root|run|sbin|tmp|usr|var)\\u002f/]',
    'Windows has no such path, nor has macOS some of them. Use tmpdir(), or ask for process.platform first.',
  ],
  [
    'CallExpression[callee.name=/^(spawn|execFile)(Sync)?$/] > Literal.arguments:first-child',
    'The program may be missing, and on Windows npm and npx are scripts that cannot be started so. Use process.execPath.',
  ],
  [
    'ImportDeclaration[source.value="node:child_process"] > ImportSpecifier[imported.name=/^exec(Sync)?$/]',
    'The shell is another one on each system. Use execFile.',
  ],
  ['Property[key.name="shell"]', 'The shell is another one on each system. Start the program itself.'],
  [
    'CallExpression[callee.property.name="kill"] > Literal.arguments[value=/^SIG(TERM|INT|HUP|QUIT)$/]',
    'On Windows, a signal kills at once. Send SHUTDOWN_MESSAGE over a channel, or use ProcessControl for PostgreSQL.',
  ],
  [
    'CallExpression[callee.object.name="process"][callee.property.name="once"] > Literal.arguments[value="SIGINT"]',
    'Ctrl-C reaches a program below npm more than once, and the second would end it halfway. Use process.on.',
  ],
].map(([selector, message]) => ({ selector, message }));

/** ESLint's rule under a second name, because the options of a rule replace those of another entry of the configuration. */
export const portableCode = {
  plugins: { portable: { rules: { syntax: builtinRules.get('no-restricted-syntax') } } },
  rules: { 'portable/syntax': ['error', ...NOT_PORTABLE] },
};
