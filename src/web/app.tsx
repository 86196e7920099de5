/** The frame and the page in it. */
import { useSignalEffect } from '@preact/signals';
import { BalancerPage } from './balancer/page.tsx';
import { FindingsPage } from './findings/page.tsx';
import { Masthead, Reconnecting } from './frame/masthead.tsx';
import { TokenPage } from './frame/token-page.tsx';
import { openFindings, sample, session } from './live/store.ts';
import { link } from './live/stream.ts';
import { Mark } from './look/mark.tsx';
import { OverviewPage } from './overview/page.tsx';
import { verdictWords } from './overview/verdict.tsx';
import { route } from './route.ts';
import { SpacePage } from './space/page.tsx';

/** Nobody answered yet. */
const Unreachable = () => (
  <section class="token-page" aria-labelledby="unreachable">
    <Mark size={88} level={null} />
    <h1 id="unreachable">{link.value.state === 'waiting' ? 'No agent answers here' : 'Connecting …'}</h1>
    <p class="quiet">
      {link.value.state === 'waiting' ? (
        <>
          Start it with <code>plimsoll serve</code>; this page goes on by itself as soon as it answers.
        </>
      ) : (
        'Asking the agent for its newest look.'
      )}
    </p>
  </section>
);

const Page = () => {
  if (link.value.state === 'denied') return <TokenPage />;
  if (session.value === null && sample.value === null) return <Unreachable />;
  const where = route.value;
  switch (where.page) {
    case 'space':
      return <SpacePage key={where.id} id={where.id} />;
    case 'balancer':
      return <BalancerPage />;
    case 'findings':
      return <FindingsPage />;
    case 'overview':
      return <OverviewPage />;
  }
};

/** Says the verdict aloud when it changes, and in the tab's title. */
const Announcer = () => {
  useSignalEffect(() => {
    const now = sample.value;
    document.title = now === null ? 'Plimsoll' : `${verdictWords(now, undefined).headline} · ${session.value?.host ?? ''} · Plimsoll`;
  });
  const now = sample.value;
  return (
    <p class="unseen" role="status">
      {now === null ? '' : verdictWords(now, openFindings.value[0]).headline}
    </p>
  );
};

export const App = () => (
  <div class="frame">
    <button type="button" class="skip" onClick={() => document.querySelector<HTMLElement>('main')?.focus()}>
      To the content
    </button>
    <Masthead />
    <Reconnecting />
    <main id="main" tabIndex={-1}>
      <Page />
    </main>
    <Announcer />
  </div>
);
