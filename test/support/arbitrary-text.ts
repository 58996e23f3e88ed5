import fc from 'fast-check';

/** Texts that differ from `text` in one character. */
export const oneCharacterChanged = (text: string) =>
  fc
    .tuple(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
    .map(([index, character]) => text.slice(0, index) + character + text.slice(index + 1))
    .filter((other) => other !== text);
