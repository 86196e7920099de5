/** The known name nearest to a mistyped one, for "did you mean". */

/** Edit distance with transpositions (optimal string alignment), in edits. */
const distance = (a: string, b: string): number => {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(previous[j]! + 1, row[j - 1]! + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j]!, beforePrevious[j - 2]! + 1);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length]!;
};

/** The name of `known` that is at most a third of its letters away from `typed`, or null. */
export const nearest = (typed: string, known: readonly string[]): string | null => {
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const d = name.startsWith(typed) && typed.length > 1 ? 1 : distance(typed.toLowerCase(), name.toLowerCase());
    if (d < bestDistance) {
      best = name;
      bestDistance = d;
    }
  }
  return best !== null && bestDistance <= Math.max(1, Math.ceil(best.length / 3)) ? best : null;
};

/** "did you mean X?", or the list of what there is. */
export const didYouMean = (typed: string, known: readonly string[]): string => {
  const name = nearest(typed, known);
  if (name !== null) return `did you mean "${name}"?`;
  return known.length === 0
    ? 'there is none to choose from'
    : `there is: ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', …' : ''}`;
};
