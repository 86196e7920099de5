/**
 * The token of the address that `plimsoll serve` prints (`…/#token=…`). It lives in this tab alone and leaves the address bar at
 * once, so that it lands in no history, no screenshot and no link somebody sends.
 */
const KEY = 'plimsoll.token';

/** Takes the token out of the address, where there is one. */
export const takeTokenFromAddress = (): void => {
  const match = /^#token=([^&]*)/.exec(location.hash);
  if (match === null) return;
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  if (match[1] !== '') keepToken(decodeURIComponent(match[1]!));
};

export const keepToken = (token: string): void => {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is forbidden: the token lasts as long as the page.
  }
  inMemory = token;
};

let inMemory: string | null = null;

export const token = (): string | null => {
  if (inMemory !== null) return inMemory;
  try {
    inMemory = sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
  return inMemory;
};
