import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Outcome {
  code: number | null;
  output: string;
}

/**
 * A machine like a new one with Windows: the only programs are Node and npm, and npm's scripts are read by a shell that is not
 * POSIX's. Remove it after use.
 */
export class BareMachine {
  private constructor(readonly folder: string) {}

  static async create(): Promise<BareMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-machine-'));
    await symlink(process.execPath, join(folder, 'node'));
    await symlink(await findOnPath('npm'), join(folder, 'npm'));
    const shell = pathToFileURL(resolve('test/support/machines/cmd-shell.mjs')).href;
    const program = `#!${process.execPath}\nimport('${shell}');\n`;
    await writeFile(join(folder, 'shell'), program, { mode: 0o755 });
    return new BareMachine(folder);
  }

  /** Runs a script of the package.json in `cwd` until it ends. */
  async npm(args: readonly string[], cwd = '.'): Promise<Outcome> {
    const child = spawn(join(this.folder, 'npm'), args, {
      cwd,
      env: {
        PATH: this.folder,
        HOME: this.folder,
        npm_config_script_shell: join(this.folder, 'shell'),
        npm_config_update_notifier: 'false',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output += String(chunk)));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

async function findOnPath(program: string): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await realpath(join(folder, program)).catch(() => undefined);
    if (found) return found;
  }
  throw new Error(`${program} is not on PATH.`);
}
