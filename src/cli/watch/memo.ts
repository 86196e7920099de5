/** Lines made once for as long as what they were made of lives: between two looks at the host hardly anything changes. */
export class Memo {
  private readonly known = new WeakMap<object, Map<string, readonly string[]>>();

  /** What `make` made of `of` when it was first asked for by this `key`; the key says what else it depends on. */
  lines(of: object, key: string, make: () => readonly string[]): readonly string[] {
    let made = this.known.get(of);
    if (made === undefined) {
      made = new Map();
      this.known.set(of, made);
    }
    const before = made.get(key);
    if (before !== undefined) return before;
    const lines = make();
    made.set(key, lines);
    return lines;
  }
}
