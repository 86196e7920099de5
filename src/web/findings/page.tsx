/** Everything that is or was wrong, as far as the agent remembers. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { FindingLife } from '../../wire/api.ts';
import { api } from '../live/api.ts';
import { findings, openFindings } from '../live/store.ts';
import { Mark } from '../look/mark.tsx';
import { Finding, namesSpace } from './finding.tsx';

export const FindingsPage = () => {
  const closed = useSignal<readonly FindingLife[] | null>(null);
  const open = openFindings.value;
  const known = findings.value;
  useEffect(() => {
    void api
      .findings('all')
      .then(({ items }) => {
        closed.value = items.filter((f) => f.closed_at !== null).sort((a, b) => b.closed_at!.localeCompare(a.closed_at!));
      })
      .catch(() => {});
  }, [known]);
  return (
    <>
      <div class="page-head">
        <h1>Findings</h1>
        <p class="quiet">What is wrong now, and what was. Each rests on numbers that were read, not guessed.</p>
      </div>
      <section class="section" aria-labelledby="open-findings">
        <h2 id="open-findings">Now</h2>
        {open.length === 0 ? (
          <div class="empty card">
            <Mark size={56} level={0.2} />
            <p>Nothing is wrong.</p>
          </div>
        ) : (
          <ul class="findings card">
            {open.map((f) => (
              <Finding key={f.id} finding={f} linked={namesSpace(f.subject)} />
            ))}
          </ul>
        )}
      </section>
      <section class="section" aria-labelledby="closed-findings">
        <h2 id="closed-findings">Over</h2>
        {closed.value === null || closed.value.length === 0 ? (
          <p class="quiet section-text">{closed.value === null ? 'Reading …' : 'None since the agent was started.'}</p>
        ) : (
          <ul class="findings card">
            {closed.value.map((f) => (
              <Finding key={f.id} finding={f} linked={false} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
};
