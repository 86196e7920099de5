/** What helps here, what it buys, what it risks, and the lines that do it. */
import { formatNumber, formatPercent } from '../../core/quantity.ts';
import type { ReportDocument } from '../../wire/report.ts';
import { forecastOf, type Space } from '../model/space.ts';

type Remedy = ReportDocument['remedies'][number];

const buys = (space: Space, remedy: Remedy): { readonly figure: string; readonly meaning: string } => {
  if (remedy.effect === null) return { figure: '', meaning: '' };
  const { capacity, used_ratio, forecast } = remedy.effect;
  const f = forecastOf(forecast);
  const ports = capacity === space.capacity ? '' : `of ${formatNumber(capacity)} ports`;
  if (f.kind === 'exhausts' || f.kind === 'exhausted') return { figure: 'runs out still', meaning: ports };
  return { figure: formatPercent(used_ratio), meaning: ['in the long run', ports].filter((w) => w !== '').join(', ') };
};

const Lines = ({ title, text }: { readonly title: string; readonly text: string }) => (
  <details>
    <summary>{title}</summary>
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
    <pre tabIndex={0}>{text}</pre>
  </details>
);

export const Remedies = ({ space, remedies }: { readonly space: Space; readonly remedies: readonly Remedy[] }) => (
  <ul class="remedies card">
    {remedies.map((r) => {
      const { figure, meaning } = buys(space, r);
      return (
        <li key={r.code} class="remedy">
          <p class="remedy-buys">
            <span class="remedy-figure">{figure}</span>
            <span class="quiet small block">{meaning}</span>
          </p>
          <div class="stack">
            <h3>{r.title}</h3>
            <p>{r.text}</p>
            <p class="small quiet">
              risk: {r.risk}
              {r.reversible ? '' : ' · cannot be undone'}
            </p>
            {r.commands.length > 0 && <Lines title="Commands" text={r.commands.join('\n')} />}
            {r.snippets.map((s) => (
              <Lines key={s.product} title={s.product} text={s.text} />
            ))}
          </div>
        </li>
      );
    })}
  </ul>
);
