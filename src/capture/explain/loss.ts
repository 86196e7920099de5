/**
 * Is it more than ordinary loss? Networks lose SYNs as they lose everything; a report that called each of them a finding would
 * be believed once. A silence counts only if loss at the rate the rest of the capture shows would hardly ever make it.
 */

/** How often a whole capture may cry wolf. */
const significance = 1e-3;

/** ln(n!) by Stirling's series; exact enough from 10 on, by product below. */
const lnFactorial = (n: number): number => {
  if (n < 10) {
    let product = 1;
    for (let i = 2; i <= n; i++) product *= i;
    return Math.log(product);
  }
  return (n + 0.5) * Math.log(n) - n + 0.9189385332046727 + 1 / (12 * n) - 1 / (360 * n ** 3);
};

/** P(X >= k) for X ~ Binomial(n, p). */
export const binomialTail = (n: number, k: number, p: number): number => {
  if (k <= 0) return 1;
  if (k > n || p <= 0) return 0;
  if (p >= 1) return 1;
  let sum = 0;
  const lnP = Math.log(p);
  const lnQ = Math.log1p(-p);
  for (let i = k; i <= n; i++) {
    const term = Math.exp(lnFactorial(n) - lnFactorial(i) - lnFactorial(n - i) + i * lnP + (n - i) * lnQ);
    sum += term;
    // Beyond the mean the terms fall geometrically.
    if (i > n * p && term < sum * 1e-12) break;
  }
  return Math.min(1, sum);
};

export interface Background {
  /** Probability that a SYN draws nothing by loss alone, estimated with room to spare. */
  readonly loss: number;
  /** Port spaces looked at: the more, the likelier one of them has bad luck. */
  readonly spaces: number;
  /** Handshakes in all. */
  readonly handshakes: number;
}

/** Loss as the capture shows it, from segments that carried something and those of them seen again. */
export const background = (carrying: number, repeated: number, spaces: number, handshakes: number): Background => {
  // A SYN fails by the loss of either direction and one capture point sees the half of it, hence thrice; and never less than the
  // 2 % at which people still call a network healthy.
  const seen = carrying >= 50 ? (3 * repeated) / carrying : 0;
  return { loss: Math.min(0.5, Math.max(0.04, seen)), spaces: Math.max(1, spaces), handshakes: Math.max(1, handshakes) };
};

/** Whether `silent` of `syns` SYN packets of one port space without an answer are more than loss. */
export const beyondLoss = (syns: number, silent: number, of: Background): boolean =>
  binomialTail(syns, silent, of.loss) * of.spaces < significance;

/** Whether one handshake with `silent` SYNs in a row without an answer is. */
export const runBeyondLoss = (silent: number, of: Background): boolean => of.handshakes * of.loss ** silent < significance;
