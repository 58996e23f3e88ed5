import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { anchorsOf, filesBelow, linksOf, PAGES, readText } from '../support/docs/markdown.js';

describe('links in the documentation', () => {
  test.each(PAGES)('every relative link and anchor of %s resolves', (page) => {
    expect(brokenLinks(page, readText(page))).toEqual([]);
  });

  test('every page of docs/ is linked from another page', () => {
    const linked = new Set(
      PAGES.flatMap((page) => linksOf(readText(page)).map(({ target }) => resolveTarget(page, target).file)),
    );
    expect(PAGES.filter((page) => page.startsWith('docs/') && !linked.has(page))).toEqual([]);
  });

  test('the list of decisions has the title of each', () => {
    const decisions = filesBelow('docs/decisions', '.md').sort();
    const titles = decisions.map(
      (page) => `${page}: ${readText(page).split('\n', 1)[0]?.slice('# 0000: '.length)}`,
    );
    const listed = readText('docs/README.md').matchAll(/^\| \[\d{4}\]\((decisions\/.*?)\): (.*?) *\|/gm);
    expect([...listed].map(([, page, title = '']) => `docs/${page}: ${title.replaceAll('`', '')}`)).toEqual(
      titles,
    );
  });

  test.each<[string, string, string[]]>([
    ['a missing file', 'A [page](nowhere.md).', ['docs/x.md:1: nowhere.md']],
    ['a missing anchor', '# One\n\n[two](#two)', ['docs/x.md:3: #two']],
    ['a missing anchor of another page', '[x](GLOSSARY.md#nowhere)', ['docs/x.md:1: GLOSSARY.md#nowhere']],
    ['a missing image', '![x](x.png "title")', ['docs/x.md:1: x.png']],
    ['a missing reference', '[x][y]\n\n[y]: nowhere.md', ['docs/x.md:3: nowhere.md']],
    ['no link in code', '`[x](nowhere.md)`\n\n```\n[x](nowhere.md)\n```', []],
    ['no existing target', '# A `b` c?\n\n# A b c\n\n[x](#a-b-c) [y](#a-b-c-1) [z](../README.md)', []],
    ['no external link', '[x](https://example.com/#y) [z](mailto:a@example.com)', []],
  ])('the check reports %s', (_what, markdown, expected) => {
    expect(brokenLinks('docs/x.md', markdown)).toEqual(expected);
  });
});

/** Broken relative links of a page as `file:line: target`. */
function brokenLinks(page: string, markdown: string): string[] {
  return linksOf(markdown)
    .filter(({ target }) => !/^[a-z]+:/.test(target))
    .filter(({ target }) => {
      const { file, anchor } = resolveTarget(page, target);
      if (file !== page && !existsSync(file)) return true;
      return anchor !== undefined && !anchorsOf(file === page ? markdown : readText(file)).includes(anchor);
    })
    .map(({ line, target }) => `${page}:${line}: ${target}`);
}

function resolveTarget(page: string, target: string): { file: string; anchor: string | undefined } {
  const [path = '', anchor] = target.split('#');
  return { file: path === '' ? page : join(dirname(page), path), anchor };
}
