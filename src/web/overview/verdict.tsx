/** The answer to "am I safe?", in plain words and before anything else. */
import { formatNumber, formatPercent } from '../../core/quantity.ts';
import type { FindingLife, SampleEvent } from '../../wire/api.ts';
import { Mark } from '../look/mark.tsx';
import { nameOf, nearness, timeLeftOf } from '../model/space.ts';
import { formatRoute } from '../route.ts';

/** The verdict's headline and what stands under it. */
export const verdictWords = (s: SampleEvent, worst: FindingLife | undefined): { readonly headline: string; readonly text: string } => {
  const fullest = s.spaces[0];
  const many = `${formatNumber(s.spaces_total)} port spaces`;
  switch (s.verdict) {
    case 'unknown':
      return { headline: 'Cannot tell', text: 'The sockets of this host could not be read; what was missing is listed below.' };
    case 'ok': {
      if (fullest === undefined)
        return {
          headline: 'Safe',
          text: 'No connection leaves this host, so no source port is held. Port spaces appear here when one does.',
        };
      const { figure, meaning } = timeLeftOf(fullest);
      const what = s.spaces_total === 1 ? 'The only port space' : `None of ${many} is near its line. The fullest`;
      return { headline: 'Safe', text: `${what}, ${nameOf(fullest)}, is ${formatPercent(fullest.used_ratio)} full: ${figure} ${meaning}.` };
    }
    case 'warning':
    case 'critical': {
      const out = s.spaces.some((space) => space.forecast.kind === 'exhausted');
      const soon = s.spaces.some((space) => space.forecast.kind === 'exhausts');
      const headline = out ? 'Out of source ports' : soon ? 'Running out' : s.verdict === 'critical' ? 'Not safe' : 'Near its line';
      const text = worst?.title ?? (fullest === undefined ? '' : `${nameOf(fullest)} is ${formatPercent(fullest.used_ratio)} full.`);
      return { headline, text };
    }
  }
};

export interface VerdictProps {
  readonly sample: SampleEvent;
  /** The finding that made the verdict. */
  readonly worst: FindingLife | undefined;
  readonly hostName: string;
  /** Open findings. */
  readonly findings: number;
}

export const Verdict = ({ sample, worst, hostName, findings }: VerdictProps) => {
  const { headline, text } = verdictWords(sample, worst);
  const fullest = sample.spaces[0];
  const subject = sample.verdict === 'ok' ? undefined : (sample.spaces.find((s) => s.id === worst?.subject) ?? fullest);
  const glance: readonly (readonly [string, string])[] = [
    ['Port spaces', formatNumber(sample.spaces_total)],
    ['Near their line', formatNumber(sample.spaces.filter((s) => nearness(s) !== 'calm').length)],
    ['Findings', formatNumber(findings)],
  ];
  return (
    <section class={`verdict ${sample.verdict}`} aria-labelledby="verdict">
      <Mark size={148} level={fullest?.used_ratio ?? 0} water={sample.verdict} />
      <div>
        <p class="eyebrow">Source ports of {hostName === '' ? 'this host' : hostName}</p>
        <h1 id="verdict">{headline}</h1>
        <p class="lead">{text}</p>
        {subject !== undefined && (
          <p>
            <a class="button" href={formatRoute({ page: 'space', id: subject.id })}>
              Why, and what helps
            </a>
          </p>
        )}
      </div>
      <dl class="glance">
        {glance.map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
};
