/** Where one is, in the address after `#`: the agent serves one page, and a link to a port space can be sent to a colleague. */
import { signal } from '@preact/signals';

export type Route =
  | { readonly page: 'overview' }
  | { readonly page: 'space'; readonly id: string }
  | { readonly page: 'balancer' }
  | { readonly page: 'findings' };

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The route that a fragment (with its `#`) names; the overview for what it does not know. */
export const parseRoute = (fragment: string): Route => {
  const path = fragment.replace(/^#\/?/, '');
  if (path.startsWith('space/')) return { page: 'space', id: decoded(path.slice('space/'.length)) };
  if (path === 'balancer' || path === 'findings') return { page: path };
  return { page: 'overview' };
};

export const formatRoute = (route: Route): string => {
  switch (route.page) {
    case 'overview':
      return '#/';
    case 'space':
      return `#/space/${encodeURIComponent(route.id)}`;
    default:
      return `#/${route.page}`;
  }
};

export const route = signal<Route>(parseRoute(''));

/** Follows the address bar from now on. */
export const followAddress = (): void => {
  const read = (): void => {
    route.value = parseRoute(location.hash);
  };
  addEventListener('hashchange', () => {
    read();
    scrollTo(0, 0);
    // Whoever goes by keyboard or ear begins at the top of the new page.
    document.querySelector<HTMLElement>('main')?.focus({ preventScroll: true });
  });
  read();
};
