/** Something wrong in a configuration file, and where. */
export interface Position {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface Mistake extends Position {
  /** `pools[0].servers[1].address`; empty for the file as a whole. */
  readonly path: string;
  /** The value, what is wrong with it, what is allowed. */
  readonly message: string;
}

/** `plimsoll.yaml:4:20: pools[0].algorithm: "fastest" is not …`. Text of the file is not escaped: escape before it reaches a terminal. */
export const formatMistake = (file: string, mistake: Mistake): string =>
  `${file}:${mistake.line}:${mistake.column}: ${mistake.path === '' ? '' : `${mistake.path}: `}${mistake.message}`;

/** By place in the file. */
export const sortMistakes = (mistakes: readonly Mistake[]): readonly Mistake[] =>
  [...mistakes].sort((a, b) => a.line - b.line || a.column - b.column);

/** A value of the file as it is quoted in a message: short, in one line, whatever it is. */
export const quote = (text: string): string => {
  const letters = Array.from(text);
  return JSON.stringify(letters.length > 60 ? `${letters.slice(0, 57).join('')}…` : text);
};

/** A key of the file as it stands in a path. */
export const step = (key: string): string => (/^\w{1,60}$/.test(key) ? key : quote(key));
