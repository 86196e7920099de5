/** Light, dark, or as the system says. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'plimsoll.theme';
const order: readonly Theme[] = ['system', 'light', 'dark'];

const stored = (): Theme => {
  try {
    const value = localStorage.getItem(KEY);
    return order.find((t) => t === value) ?? 'system';
  } catch {
    return 'system';
  }
};

export const theme = signal<Theme>('system');
/** Whether what is shown is dark; pictures on canvases are drawn anew when it changes. */
export const dark = signal(false);

const preference = matchMedia('(prefers-color-scheme: dark)');
const apply = (): void => {
  dark.value = theme.value === 'dark' || (theme.value === 'system' && preference.matches);
  document.documentElement.dataset['theme'] = dark.value ? 'dark' : 'light';
};

export const startTheme = (): void => {
  theme.value = stored();
  preference.addEventListener('change', apply);
  apply();
};

export const nextTheme = (): void => {
  theme.value = order[(order.indexOf(theme.value) + 1) % order.length]!;
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // Then it lasts as long as the page.
  }
  apply();
};
