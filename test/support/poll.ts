/** Waiting for a condition instead of for a time. */

/** Calls `probe` until it returns something other than undefined, null or false; fails with `what` after `within` ms. */
export const until = async <T>(what: string, probe: () => T | Promise<T>, within = 10_000): Promise<NonNullable<Exclude<T, false>>> => {
  const deadline = Date.now() + within;
  let delay = 2;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<Exclude<T, false>>;
    if (Date.now() > deadline) throw new Error(`waited ${within} ms for ${what}`);
    await new Promise((done) => setTimeout(done, delay));
    delay = Math.min(delay * 1.5, 100);
  }
};
