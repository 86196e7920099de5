/**
 * Which server next: data in, index out, no I/O. An algorithm sees what it needs of each candidate;
 * asking again when the chosen one is no longer available gives the order of preference.
 */

export interface Candidate {
  readonly weight: number;
  /** Requests it is busy with. */
  readonly load: number;
  /** Up, enabled, not draining. */
  readonly available: boolean;
  /** Stable identity, for hashing: 32 bits. */
  readonly hash: number;
}

/** 32-bit FNV-1a with a final mix, so that similar texts land far apart. */
export const hashText = (text: string): number => {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** The lowest load per weight; among equals the first after `last`, so that idle servers take turns. -1 if none is left. */
export const leastConnections = (servers: readonly Candidate[], last: number): number => {
  let best = -1;
  let bestScore = Number.POSITIVE_INFINITY;
  const n = servers.length;
  for (let k = 1; k <= n; k++) {
    // `last` may be of a longer list: servers come and go.
    const i = (last + k) % n;
    const s = servers[i]!;
    if (!s.available) continue;
    const score = (s.load + 1) / s.weight;
    if (score < bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
};

/**
 * Rendezvous hashing (Thaler and Ravishankar 1998), weighted as -weight / ln(u): a server that leaves moves only its own keys.
 * -1 if none is left.
 */
export const consistentHash = (servers: readonly Candidate[], key: number): number => {
  let best = -1;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < servers.length; i++) {
    const s = servers[i]!;
    if (!s.available) continue;
    let h = Math.imul(s.hash ^ key, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h = (h ^ (h >>> 16)) >>> 0;
    const score = -s.weight / Math.log((h + 0.5) / 4294967296);
    if (score > bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
};

/**
 * Smooth weighted round robin: every available server gains its weight, the richest is chosen and pays the sum. `credit` is
 * the state, one number per server, changed in place. -1 if none is left.
 */
export const roundRobin = (servers: readonly Candidate[], credit: number[]): number => {
  let best = -1;
  let total = 0;
  for (let i = 0; i < servers.length; i++) {
    const s = servers[i]!;
    if (!s.available) continue;
    credit[i] = (credit[i] ?? 0) + s.weight;
    total += s.weight;
    if (best < 0 || credit[i]! > credit[best]!) best = i;
  }
  if (best >= 0) credit[best]! -= total;
  return best;
};
