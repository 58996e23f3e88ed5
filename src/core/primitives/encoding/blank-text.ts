/** White space, control and format characters, and what Unicode says is invisible, such as zero-width and filler characters. */
const INVISIBLE_ONLY = /^[\s\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** Whether nothing of the text can be seen. */
export function isBlank(text: string): boolean {
  return INVISIBLE_ONLY.test(text);
}
