import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

const list = (...options: string[]) =>
  execFileSync('git', ['ls-files', '-z', ...options], { encoding: 'utf8' })
    .split('\0')
    .filter(Boolean);
const paths = list();
/** Every file and every folder. */
const names = [
  ...new Set(
    paths.flatMap((path) => path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))),
  ),
];

/** Windows reserves them in every folder, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
/** Windows has no more without a setting, and the folder of the checkout needs some of them. */
const MAX_PATH_LENGTH = 200;

function isLegalOnWindows(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  // eslint-disable-next-line no-control-regex -- names of files can have them elsewhere
  return !/[<>:"\\|?*\u0000-\u001f]|[. ]$/.test(name) && !DEVICE.test(name) && path.length <= MAX_PATH_LENGTH;
}

test('no two tracked paths are the same to a file system that ignores case or normalizes accents', () => {
  const seen = new Map<string, string>();
  const clashes = names.filter((path) => {
    const folded = path.normalize('NFC').toLowerCase();
    const isNew = !seen.has(folded);
    seen.set(folded, path);
    return !isNew;
  });
  expect(clashes).toEqual([]);
});

test('every tracked name is legal on Windows, and no file is a symbolic link', () => {
  expect(['a/nul.txt', 'COM1', 'a:b', 'a?', 'dot.', 'space ', 'a\tb'].filter(isLegalOnWindows)).toEqual([]);
  expect(names.filter((name) => !isLegalOnWindows(name))).toEqual([]);
  expect(list('--stage').filter((entry) => entry.startsWith('120000'))).toEqual([]);
});

test('a checkout has the line ends of the repository on every machine', () => {
  // Otherwise git for Windows writes CRLF, which changes the checksums of migrations and what the tests compare.
  const entries = list('--eol').map((entry) => entry.split(/\s+/));
  const text = entries.filter(([index]) => index !== 'i/-text' && index !== 'i/none');
  const wrong = text.filter(
    ([index, , ...attributes]) => !(index === 'i/lf' && attributes.join(' ').includes('eol=lf')),
  );
  const recordings = wrong.filter(([, , attribute]) => attribute === 'attr/-text');
  expect(wrong.filter((entry) => !recordings.includes(entry))).toEqual([]);
});
