/** One finding: what is wrong, the numbers it rests on, where they were read. */
import { formatNumber } from '../../core/quantity.ts';
import type { FindingLife } from '../../wire/api.ts';
import { SeverityTag } from '../look/severity.tsx';
import { momentOf } from '../model/time.ts';
import { formatRoute } from '../route.ts';

type Evidence = FindingLife['evidence'];

export const EvidenceTable = ({ evidence }: { readonly evidence: Evidence }) => (
  <details class="evidence">
    <summary>The numbers behind it</summary>
    <div class="scroll-x">
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" class="number">
              Value
            </th>
            <th scope="col">Read from</th>
          </tr>
        </thead>
        <tbody>
          {evidence.map((e) => (
            <tr key={e.name}>
              <th scope="row">{e.name.replaceAll('_', ' ')}</th>
              <td class="number">
                {typeof e.value === 'number' ? formatNumber(e.value, 2) : e.value} <span class="quiet">{e.unit}</span>
              </td>
              <td>{e.source}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </details>
);

const time = (at: string): string => momentOf(at, Date.now());

export interface FindingProps {
  readonly finding: Pick<FindingLife, 'severity' | 'title' | 'text' | 'evidence' | 'subject'> &
    Partial<Pick<FindingLife, 'opened_at' | 'closed_at'>>;
  /** Whether its subject is a port space that has a page. */
  readonly linked: boolean;
}

export const Finding = ({ finding, linked }: FindingProps) => (
  <li class={`finding ${finding.closed_at ? 'closed' : finding.severity}`}>
    <SeverityTag of={finding.severity} />
    <div class="stack">
      <h3>{finding.title}</h3>
      <p>{finding.text}</p>
      <div class="row small">
        {finding.opened_at !== undefined && (
          <span class="quiet">
            since <time dateTime={finding.opened_at}>{time(finding.opened_at)}</time>
            {finding.closed_at ? (
              <>
                , over at <time dateTime={finding.closed_at}>{time(finding.closed_at)}</time>
              </>
            ) : null}
          </span>
        )}
        {linked && <a href={formatRoute({ page: 'space', id: finding.subject })}>Open the port space</a>}
      </div>
      {finding.evidence.length > 0 && <EvidenceTable evidence={finding.evidence} />}
    </div>
  </li>
);

/** A subject that names a port space: `namespace/kind/source/destination`. */
export const namesSpace = (subject: string): boolean => /^[^/]+\/(connect|bind|ledger|snat)\//.test(subject);
