/** How a gauge is read, shown while there is none: the same picture, empty, with its marks named. */
import { HullGauge } from './gauge.tsx';

const marks: readonly (readonly [string, string])[] = [
  ['The circle and line', 'the load line: every port towards one destination is taken, and the next connect() fails'],
  ['The broken line', 'the search wall, at half: beyond it every connect() scans thousands of ports before it finds one'],
  ['The water', 'ports in use, in layers by state: open connections at the keel, TIME_WAIT above them'],
];

export const Explained = () => (
  <section class="section" aria-labelledby="explained">
    <h2 id="explained">What will stand here</h2>
    <div class="card explained">
      <HullGauge space={null} />
      <dl>
        {marks.map(([term, words]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </div>
  </section>
);
