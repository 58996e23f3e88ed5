const ASCII = /^[\0-\x7f]*$/;
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;

/**
 * What a search ignores, after compatibility decomposition: accents, vowel points of Arabic and Hebrew, nuktas, the Arabic
 * stretching character and skin tones. None of this is a letter in the root collation of Unicode. Vowel signs are marks as well,
 * and stay. So do marks that make another letter for those who write them: the voicing of kana (カ and ガ), the breve of й, and
 * the tone marks of Thai and Lao. The lookahead at the start makes it fast.
 */
const IGNORED = new RegExp(
  String.raw`(?=[\p{M}\p{Sk}\p{Lm}])(?:${[
    String.raw`(?![\u3099\u309a]|(?<=и)\u0306)\p{Script=Inherited}`,
    String.raw`(?=[\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}])\p{Mn}`,
    String.raw`[\u093c\u09bc\u0a3c\u0abc\u0b3c\u0cbc\u0640\p{Me}\p{Emoji_Modifier}]`,
  ].join('|')})`,
  'gu',
);

/** Letters that Unicode does not decompose, and that people write as others: lower case, with what stands for them. */
const LETTERS: Record<string, string> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ł: 'l',
  ŧ: 't',
  ŋ: 'n',
  ı: 'i',
  ς: 'σ',
  // Keyboards for Persian and Urdu have other letters than those for Arabic, and the dots of the last two are often omitted.
  ک: 'ك',
  ی: 'ي',
  ى: 'ي',
  ة: 'ه',
};
const HIRAGANA = /[ぁ-ゖゝゞ]/u;
const REPLACED = new RegExp(`[${Object.keys(LETTERS).join('')}]|${HIRAGANA.source}`, 'gu');
const HIRAGANA_TO_KATAKANA = 'ァ'.charCodeAt(0) - 'ぁ'.charCodeAt(0);

/**
 * The form in which texts that differ only in case, width, accents or invisible characters are equal, in every script. Hiragana
 * become katakana. The result depends on neither a locale nor PostgreSQL.
 */
export function foldText(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return withoutInvisible(text)
    .normalize('NFKD')
    .toLowerCase()
    .replace(IGNORED, '')
    .replace(
      REPLACED,
      (letter) => LETTERS[letter] ?? String.fromCharCode(letter.charCodeAt(0) + HIRAGANA_TO_KATAKANA),
    )
    .normalize('NFC');
}

/** The text without characters that are not shown, such as zero-width joiners. */
export function withoutInvisible(text: string): string {
  return text.replace(INVISIBLE, '');
}
