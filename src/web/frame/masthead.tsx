/** The head of every page: where one is, whether what is shown is live, light or dark. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { openFindings, sample, session } from '../live/store.ts';
import { link, reconnectNow } from '../live/stream.ts';
import { Mark } from '../look/mark.tsx';
import { clockOf } from '../model/time.ts';
import { formatRoute, type Route, route } from '../route.ts';
import { nextTheme, theme } from './theme.ts';

const pages: readonly (readonly [Route & { readonly page: 'overview' | 'balancer' | 'findings' }, string])[] = [
  [{ page: 'overview' }, 'Overview'],
  [{ page: 'balancer' }, 'Load balancer'],
  [{ page: 'findings' }, 'Findings'],
];

const themeWords = { system: 'as the system', light: 'light', dark: 'dark' } as const;
const themeSign = { system: '◐', light: '○', dark: '●' } as const;

const LinkState = () => {
  const now = link.value;
  const at = sample.value?.at;
  if (now.state === 'live')
    return (
      <span class="pill">
        <span class="live dot full" aria-hidden="true" />
        Live{at === undefined ? '' : <span class="unseen">, newest look</span>}
        {at === undefined ? null : <time dateTime={at}>{clockOf(at)}</time>}
      </span>
    );
  const words = { connecting: 'Connecting …', denied: 'Token needed', waiting: 'Not connected' }[now.state];
  return (
    <span class="pill broken">
      <span class="dot" aria-hidden="true" />
      {words}
    </span>
  );
};

/** Shown while the agent does not answer: what is on the page is old. */
export const Reconnecting = () => {
  const left = useSignal(0);
  useSignalEffect(() => {
    const now = link.value;
    if (now.state !== 'waiting') return;
    const count = (): void => {
      left.value = Math.max(0, Math.ceil((now.until - Date.now()) / 1000));
    };
    count();
    const timer = setInterval(count, 250);
    return () => clearInterval(timer);
  });
  const now = link.value;
  // One missed beat is no news.
  if (now.state !== 'waiting' || (now.attempt < 2 && sample.value !== null)) return null;
  const at = sample.value?.at;
  return (
    <div class="banner critical reconnecting" role="status">
      <strong>The agent does not answer</strong>
      <p>
        {at === undefined ? 'Is plimsoll serve still running?' : `What you see is of ${clockOf(at)}.`}{' '}
        <span aria-hidden="true">Next attempt {left.value === 0 ? 'now' : `in ${left.value} s`}.</span>
      </p>
      <button type="button" class="button" onClick={reconnectNow}>
        Try now
      </button>
    </div>
  );
};

export const Masthead = () => {
  const open = openFindings.value.length;
  const here = route.value.page;
  return (
    <header class="masthead">
      <a class="brand" href="#/">
        <Mark size={30} level={null} />
        Plimsoll
      </a>
      <nav aria-label="Pages">
        <ul>
          {pages.map(([to, words]) => (
            <li key={to.page}>
              <a href={formatRoute(to)} aria-current={here === to.page ? 'page' : undefined}>
                {words}
                {to.page === 'findings' && open > 0 ? ` (${open})` : ''}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="aside">
        <span class="host">{session.value?.host}</span>
        <LinkState />
        <button
          type="button"
          class="icon-button"
          onClick={nextTheme}
          aria-label={`Colours: ${themeWords[theme.value]}. Change`}
          title={`Colours: ${themeWords[theme.value]}`}
        >
          <span aria-hidden="true">{themeSign[theme.value]}</span>
        </button>
      </div>
    </header>
  );
};
