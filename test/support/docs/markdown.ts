import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The documentation: the Markdown pages at the top of the repository and below docs/. */
export const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')];

export interface MarkdownLink {
  line: number;
  target: string;
}

export function readText(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Paths of the files below a folder with this extension, relative to the repository. */
export function filesBelow(folder: string, extension: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => relative('.', join(entry.parentPath, entry.name)));
}

/** The contents of the fenced code blocks in this language. */
export function codeBlocks(markdown: string, language: string): string[] {
  const blocks = [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return blocks.filter(([, found]) => found === language).map(([, , code = '']) => code);
}

/** Links and images of a page, inline or by reference definition. Links in code are left out. */
export function linksOf(markdown: string): MarkdownLink[] {
  return withoutFences(markdown)
    .split('\n')
    .flatMap((text, index) => {
      const prose = text.replace(/`[^`]*`/g, 'code');
      const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)];
      const definitions = [...prose.matchAll(/^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?/g)];
      return [...inline, ...definitions].map(([, target = '']) => ({ line: index + 1, target }));
    });
}

/** The anchors that GitHub gives the headings of a page. A repeated heading gets a number. */
export function anchorsOf(markdown: string): string[] {
  const counts = new Map<string, number>();
  return [...withoutFences(markdown).matchAll(/^ {0,3}#{1,6} +(.*?)[ #]*$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-');
    const count = counts.get(anchor) ?? 0;
    counts.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** Blanks out fenced code blocks but keeps the number of lines. */
function withoutFences(markdown: string): string {
  return markdown.replace(/^ *```.*?^ *```$/gms, (block) => block.replace(/[^\n]/g, ''));
}
