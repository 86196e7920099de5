/**
 * The token of the address that `plimsoll serve` prints (`…/#token=…`). It lives in this tab alone and leaves the address bar at
 * once, so that it lands in no history, no screenshot and no link somebody sends.
 */
const KEY = 'plimsoll.token';

/** Takes the token out of the address, where there is one; whether there was. */
export const takeTokenFromAddress = (): boolean => {
  const given = /^#token=([^&]*)/.exec(location.hash)?.[1];
  if (given === undefined) return false;
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  // Only what a token is made of: anything else would make every request fail with words about headers.
  if (/^[\w.~+/=-]+$/.test(given)) keepToken(given);
  return true;
};

/** Goes on as somebody without one. */
export const forgetToken = (): void => {
  inMemory = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // It was in memory only.
  }
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
