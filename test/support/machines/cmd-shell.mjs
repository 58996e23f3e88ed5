/**
 * Stands in for cmd.exe as the shell of npm's scripts (`script-shell`): runs programs of PATH with plain arguments, joined by
 * `&&`. What cmd.exe takes for something else than a POSIX shell does is an error, as is a program that is not on PATH.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Quotes, variables, redirections, globs, and characters that cmd.exe reads as its own. */
const NOT_PORTABLE = /['"`$;<>|*?~(){}\\%^!]|(^|[^&])&([^&]|$)/;

const [flag, command = ''] = process.argv.slice(2);
if (flag !== '-c') fail(`was called with ${flag}`);
const [unclear] = NOT_PORTABLE.exec(command) ?? [];
if (unclear) fail(`reads ${JSON.stringify(unclear)} in ${JSON.stringify(command)} in its own way`);
for (const part of command.split('&&')) {
  const [program = '', ...args] = part.trim().split(/\s+/);
  const file = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => program !== '' && existsSync(path));
  if (!file || program.includes('/'))
    fail(
      `'${program}' is not recognized as an internal or external command, operable program or batch file.`,
    );
  const { status } = spawnSync(file, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  console.error(`cmd: ${message}`);
  process.exit(1);
}
