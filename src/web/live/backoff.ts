/** How long to wait before the next attempt to reach the agent, in milliseconds: half a second at first, ten at most. */
export const backoff = (attempt: number, chance: number): number => {
  const longest = Math.min(10_000, 500 * 2 ** Math.min(attempt, 10));
  // Half of it by chance: the dashboards of a whole team must not come back in one beat.
  return longest / 2 + (longest / 2) * chance;
};
