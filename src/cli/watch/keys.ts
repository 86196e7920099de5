/** Keys as a terminal in raw mode sends them: letters, control characters and escape sequences (ECMA-48, xterm). */

const named = {
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\u007f': 'backspace',
  '\b': 'backspace',
  '\u0003': 'ctrl-c',
  '\u000c': 'ctrl-l',
  '\u0015': 'ctrl-u',
  '\u001a': 'ctrl-z',
} as const;

const sequences = {
  A: 'up',
  B: 'down',
  C: 'right',
  D: 'left',
  H: 'home',
  F: 'end',
  '1~': 'home',
  '4~': 'end',
  '5~': 'page-up',
  '6~': 'page-down',
  '7~': 'home',
  '8~': 'end',
} as const;

/** A key by its name, or the letter it types. */
export type Key = (typeof named)[keyof typeof named] | (typeof sequences)[keyof typeof sequences] | 'escape' | { readonly letter: string };

// biome-ignore lint/suspicious/noControlCharactersInRegex: keys begin with one
const sequence = /^\u001b(?:\[|O)([0-9;<=>?]*)([ -/]*[@-~])/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys begin with one
const unfinished = /^\u001b(?:(?:\[|O)[0-9;<=>? -/]*)?$/;

/**
 * The keys in `text`, and what may be the beginning of another. A lone escape is a beginning: whoever waits long enough for more
 * passes `whole`, and it is the key. Sequences nobody knows are swallowed whole, so that their letters are no keys.
 */
export const readKeys = (text: string, whole = false): { readonly keys: readonly Key[]; readonly rest: string } => {
  const keys: Key[] = [];
  for (let at = 0; at < text.length; ) {
    const here = text.slice(at, at + 32);
    if (here[0] === '\u001b') {
      if (!whole && at + here.length === text.length && unfinished.test(here)) return { keys, rest: here };
      const match = sequence.exec(here);
      if (match === null) {
        // Escape, or Alt and a letter, which is read as escape and the letter.
        keys.push('escape');
        at++;
        continue;
      }
      const final = `${match[2] === '~' ? match[1]!.split(';')[0] : ''}${match[2]}`;
      if (Object.hasOwn(sequences, final)) keys.push(sequences[final as keyof typeof sequences]);
      at += match[0].length;
      continue;
    }
    const letter = String.fromCodePoint(here.codePointAt(0)!);
    at += letter.length;
    if (Object.hasOwn(named, letter)) keys.push(named[letter as keyof typeof named]);
    else if (letter >= ' ' && !/^[\u0080-\u009f\ud800-\udfff]$/.test(letter)) keys.push({ letter });
  }
  return { keys, rest: '' };
};
