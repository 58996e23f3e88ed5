import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** A program that runs what a page of the documentation shows. */
export interface Runtime {
  name: string;
  /** The path of its executable, or null without it. */
  executable: string | null;
  /** Arguments before the file. */
  args: readonly string[];
  howToInstall: string;
}

const FOLDER = 'test/clients/runtimes/node_modules';
const FROM_NPM = 'Install it with `npm run runtimes:install`.';
const FROM_DEBIAN = (name: string) => `Install it, on Debian with \`apt-get install ${name}\`.`;

const { platform, arch } = process;
const os = platform === 'win32' ? 'windows' : platform;
const cpu = arch === 'arm64' ? 'aarch64' : arch;
const suffix = platform === 'win32' ? '.exe' : '';
const [major = 0] = process.versions.node.split('.').map(Number);

/** Node 20 has a global WebSocket only with a flag. */
const WEB_SOCKET = major < 22 ? ['--experimental-websocket', '--no-warnings'] : [];
/** It may reach Darkroom and its environment, and loads nothing. */
const SANDBOXED = [
  'run',
  '--no-config',
  '--no-remote',
  '--no-npm',
  '--no-prompt',
  '--allow-net=127.0.0.1',
  '--allow-env',
];

/** The platforms that npm has a Node 24 for. */
const NODE_24 = ['darwin-x64', 'linux-arm64', 'linux-x64', 'win32-x64'];

/** The runtimes of JavaScript. Their packages are their executables: no install script has to run. */
export const JAVASCRIPT: readonly Runtime[] = [
  {
    name: `Node ${major}, which runs the tests`,
    executable: process.execPath,
    args: WEB_SOCKET,
    howToInstall: '',
  },
  ...(major < 24 && NODE_24.includes(`${platform}-${arch}`) ? [node24()] : []),
  {
    name: 'Deno',
    executable: firstOf(
      [`${platform}-${arch}`, `${platform}-${arch}-glibc`].map((kind) =>
        installed(`@deno/${kind}`, `deno${suffix}`),
      ),
    ),
    args: SANDBOXED,
    howToInstall: FROM_NPM,
  },
  {
    name: 'Bun',
    executable: firstOf(
      [`${os}-${cpu}`, `${os}-${cpu}-musl`].map((kind) =>
        installed(`@oven/bun-${kind}`, 'bin', `bun${suffix}`),
      ),
    ),
    args: ['run'],
    howToInstall: FROM_NPM,
  },
];

export const PYTHON: Runtime = {
  name: 'Python',
  executable: firstOf(['python3', 'python'].flatMap(onPath)),
  args: [],
  howToInstall: FROM_DEBIAN('python3'),
};

/** Run by bash, in which `curl` is found by its name. */
export const CURL: Runtime = {
  name: 'curl',
  executable: firstOf(onPath('curl')) && firstOf(onPath('bash')),
  args: [],
  howToInstall: FROM_DEBIAN('bash curl'),
};

function node24(): Runtime {
  const folder = `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
  return {
    name: 'Node 24',
    executable: firstOf([installed(folder, 'bin', `node${suffix}`)]),
    args: [],
    howToInstall: FROM_NPM,
  };
}

function installed(...path: string[]): string {
  return resolve(FOLDER, ...path);
}

function onPath(name: string): string[] {
  return (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name + suffix));
}

function firstOf(paths: readonly string[]): string | null {
  return paths.find((path) => existsSync(path)) ?? null;
}
