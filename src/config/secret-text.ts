/** The length of an HMAC-SHA-256. */
export const MIN_SECRET_BYTES = 32;
const VISIBLE_ASCII = /^[!-~]+$/;

/** Why a token or access key cannot be sent in a header as it is, as the end of a sentence. Null when it can. */
export function faultOfToken(text: string): string | null {
  if (/^(authorization:|bearer\s|basic\s)/i.test(text))
    return 'must be the token alone, without "Authorization:" and "Bearer"';
  if (/["'`“”‘’]/.test(text)) return 'must not contain quotes. Write the token alone';
  if (/\s/.test(text)) return 'must not contain spaces or line ends. Write the token alone, on one line';
  if (!VISIBLE_ASCII.test(text))
    return 'must consist of visible ASCII characters. Copy the token again, without characters before and after it';
  return null;
}

/** Why the whole value of a variable is not what its author meant, as the end of a sentence. Null when it may be. */
export function faultOfValue(name: string, value: string): string | null {
  if (/^(["'`]).*\1$/s.test(value) || /^[“‘].*[”’]$/s.test(value))
    return 'is in quotes, which are part of the value here. Write it without quotes';
  if (value.startsWith(`${name}=`) || value.startsWith(`export ${name}=`))
    return `contains its own name. Write only what follows "${name}="`;
  if (/^(\$\{[^}]*\}|\$[A-Za-z_]\w*|\$\(.*\)|%\w+%|\{\{.*\}\})$/s.test(value))
    return 'is a reference that nothing has replaced. Write the value itself';
  if (/^<[^<>]*>$/.test(value)) return 'is a placeholder. Write the value itself, without < and >';
  return null;
}

/** Whether the text is long enough to sign with. */
export function isLongSecret(text: string): boolean {
  return Buffer.byteLength(text) >= MIN_SECRET_BYTES;
}
