/** Which bytes may stand where in an HTTP/1.1 message: one table look-up per byte (RFC 9110 5.5 and 5.6.2, RFC 3986). */

/** Bytes with Node's way to read some of them as text; a Buffer is such. */
export interface Bytes extends Uint8Array {
  toString(encoding?: 'latin1', start?: number, end?: number): string;
}

/** A bit per class a byte belongs to. */
export const ByteClass = {
  /** RFC 9110 `tchar`: methods, field names, connection options. */
  token: 1,
  /** Field values: HTAB, SP, VCHAR, obs-text. Not CR, LF, NUL, DEL or another control. */
  fieldValue: 2,
  /** Request targets: visible ASCII. */
  target: 4,
  digit: 8,
  hex: 16,
  /** Host: letters, digits and `-._~%!$&'()*+,;=:[]` (RFC 3986 authority without userinfo). */
  host: 32,
} as const;

const table = new Uint8Array(256);
const mark = (characters: string, bit: number): void => {
  for (let i = 0; i < characters.length; i++) table[characters.charCodeAt(i)]! |= bit;
};
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const digits = '0123456789';
mark(`${letters}${digits}!#$%&'*+-.^_\`|~`, ByteClass.token);
for (let b = 0x20; b < 256; b++) if (b !== 0x7f) table[b]! |= ByteClass.fieldValue;
table[0x09]! |= ByteClass.fieldValue;
for (let b = 0x21; b < 0x7f; b++) table[b]! |= ByteClass.target;
mark(digits, ByteClass.digit | ByteClass.hex);
mark('abcdefABCDEF', ByteClass.hex);
mark(`${letters}${digits}-._~%!$&'()*+,;=:[]`, ByteClass.host);

/** Indexed by byte. */
export const byteClass: Uint8Array = table;

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;
