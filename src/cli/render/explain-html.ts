/**
 * The report of `plimsoll explain` as one HTML file: no script, no font, no request to anywhere. A content security policy says so
 * to the browser too, so that not even a mistake here could let a capture run code.
 */
import { formatDuration, formatNumber } from '../../core/quantity.ts';
import type { CaptureDocument } from '../../wire/capture.ts';
import { safe } from '../terminal.ts';
import { remedyWords } from './explain.ts';
import { type CaptureCase, endpoints, stepsOf } from './sequence.ts';

/** Text from outside as HTML text: control characters made visible, markup made text. */
const html = (text: string | number): string => safe(String(text)).replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);

const style = `
:root{color-scheme:light dark;--ink:#1a2230;--dim:#5b6675;--line:#d5dbe3;--back:#fff;--card:#f6f8fa;--red:#b3261e;--amber:#8a5a00;--blue:#1f5fa8;--green:#1b6e3c}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa6b5;--line:#333d4b;--back:#11161d;--card:#1a212b;--red:#ff8a80;--amber:#f0b95a;--blue:#7fb2f0;--green:#7fd39a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin:0}small,.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left}
.figures{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}.figures div{background:var(--card);border-radius:.5rem;padding:.6rem 1rem;min-width:7rem}.figures b{display:block;font-size:1.3rem}
article{background:var(--card);border-left:.3rem solid var(--blue);border-radius:.4rem;padding:1rem 1.2rem;margin:1.2rem 0}article.critical{border-color:var(--red)}article.warning{border-color:var(--amber)}
.scroll{overflow-x:auto}svg{max-width:100%;height:auto}svg text{font:12px ui-monospace,monospace;fill:var(--ink)}svg .dim{fill:var(--dim)}
code{font:0.9em ui-monospace,monospace}
`;

const diagram = (one: CaptureCase, several: boolean): string => {
  const steps = stepsOf(one, several);
  const [client, server] = endpoints(one);
  const row = 26;
  const height = 46 + steps.length * row;
  const left = 170;
  const right = 600;
  const colours: Readonly<Record<string, string>> = {
    old: 'var(--dim)',
    syn: 'var(--blue)',
    accepted: 'var(--green)',
    trouble: 'var(--red)',
    plain: 'var(--ink)',
  };
  const lines = steps.map((s, i) => {
    const y = 50 + i * row;
    const colour = colours[s.kind] ?? 'var(--ink)';
    const time = Number.isNaN(s.time) ? '' : s.time.toFixed(6);
    const arrow =
      s.from === null
        ? ''
        : s.from === 'client'
          ? `<path d="M${left} ${y}H${right - 8}" stroke="${colour}" fill="none"/><path d="M${right} ${y}l-9-4v8z" fill="${colour}"/>`
          : `<path d="M${left + 8} ${y}H${right}" stroke="${colour}" fill="none"/><path d="M${left} ${y}l9-4v8z" fill="${colour}"/>`;
    return `<text x="0" y="${y + 4}" class="dim">${html(s.number === '' ? '' : `#${s.number}`)}</text><text x="150" y="${y + 4}" text-anchor="end" class="dim">${html(time)}</text>${arrow}<text x="${(left + right) / 2}" y="${y - 4}" text-anchor="middle">${html(s.label)}</text><text x="${right + 14}" y="${y + 4}" class="dim">${html(s.note)}</text>`;
  });
  return `<div class="scroll"><svg width="1120" height="${height}" viewBox="0 0 1120 ${height}" role="img"><text x="${left}" y="16" text-anchor="middle">${html(client)}</text><text x="${right}" y="16" text-anchor="middle">${html(server)}</text><path d="M${left} 24V${height}M${right} 24V${height}" stroke="var(--line)"/>${lines.join('')}</svg></div>`;
};

const plot = (series: CaptureDocument['ports_over_time'], duration: number): string => {
  const highest = Math.max(1, ...series.flatMap((s) => s.held));
  if (series.length === 0 || duration <= 0) return '';
  const w = 1080;
  const h = 220;
  const colours = ['var(--dim)', 'var(--blue)', 'var(--red)', 'var(--green)', 'var(--amber)', '#8250df', '#0a7ea4', '#a0522d', '#6b8e23'];
  const x = (t: number): number => Math.round((50 + (Math.max(0, Math.min(t, duration)) / duration) * (w - 60)) * 10) / 10;
  const y = (v: number): number => Math.round((h - 24 - (v / highest) * (h - 44)) * 10) / 10;
  const paths = series.map((s, i) => {
    const points = s.held
      .map((v, k) => `${k === 0 ? 'M' : 'L'}${x(s.start + k * s.step)} ${y(v)}H${x(s.start + (k + 1) * s.step)}`)
      .join('');
    return `<path d="${points}" fill="none" stroke="${colours[i % colours.length]}" stroke-width="1.5"/>`;
  });
  const keys = series.map(
    (s, i) =>
      `<span style="color:${colours[i % colours.length]}">■</span> ${html(s.space)} <small>(most ${formatNumber(Math.max(0, ...s.held))})</small>`,
  );
  return `<h2>Ports held over time</h2><p class="dim">Open, or closed within the last 60 s.</p><div class="scroll"><svg width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img"><path d="M50 ${h - 24}H${w - 10}M50 20V${h - 24}" stroke="var(--line)"/><text x="44" y="24" text-anchor="end">${formatNumber(highest)}</text><text x="44" y="${h - 20}" text-anchor="end">0</text><text x="50" y="${h - 6}">0</text><text x="${w - 10}" y="${h - 6}" text-anchor="end">${html(formatDuration(duration))}</text>${paths.join('')}</svg></div><p>${keys.join('<br>')}</p>`;
};

/** The whole file. */
export const renderExplainHtml = (d: CaptureDocument): string => {
  const h = d.handshakes;
  const figure = (label: string, value: number): string => `<div><b>${formatNumber(value)}</b>${label}</div>`;
  const several = d.files.length > 1;
  const findings = d.findings.map(
    (f) =>
      `<article class="${html(f.severity)}"><h2>${html(f.title)}</h2><p><code>${html(f.code)}</code> · ${formatNumber(f.count)} · ${html(f.subject)}${
        f.certain ? '' : ' · by inference'
      }</p><p>${html(f.text)}</p><p class="dim">Rule: ${html(f.rule.text)} (${html(f.rule.source)})</p><p class="dim">Port chosen by ${html(f.chosen_by)}${
        f.cases[0] === undefined
          ? ''
          : `, which held ${formatNumber(f.cases[0].ports_60s)} ports towards this destination in the last 60 s and ${formatNumber(f.cases[0].ports_120s)} in the last 120 s`
      }.</p>${f.cases[0] === undefined ? '' : diagram(f.cases[0], several)}${
        f.remedies.length === 0
          ? ''
          : `<p>What helps:</p><ul>${f.remedies.map((code) => `<li><code>${html(code)}</code>: ${html(remedyWords[code] ?? '')}</li>`).join('')}</ul>`
      }</article>`,
  );
  const rows = d.sources
    .slice(0, 50)
    .map(
      (s) =>
        `<tr><td>${html(`${s.source} → ${s.destination}:${s.destination_port}`)}</td>${[s.handshakes, s.answered, s.reset, s.ignored, s.ports_used, s.peak_concurrent, s.peak_held].map((v) => `<td>${formatNumber(v)}</td>`).join('')}<td>${s.shortest_reuse === null ? '-' : html(formatDuration(s.shortest_reuse))}</td></tr>`,
    );
  const files = d.files.map(
    (f) =>
      `<p>${html(f.name)}: ${formatNumber(f.packets)} packets, ${formatNumber(f.bytes)} bytes (${html([f.format, ...f.link_types].join(', '))})${
        f.application === '' ? '' : ` by ${html(f.application)}`
      }${f.dropped > 0 ? `; the capturing host lost ${formatNumber(f.dropped)} packets` : ''}${
        f.broken === null ? '' : `; breaks off at byte ${f.broken.offset}: ${html(f.broken.reason)}`
      }</p>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><meta name="viewport" content="width=device-width"><title>${html(d.files.map((f) => f.name).join(', '))} explained</title><style>${style}</style></head>
<body><h1>Why handshakes were reset, delayed or ignored</h1>${files.join('')}<p class="dim">${d.started_at === null ? '' : `${html(formatDuration(d.duration))} from ${html(d.started_at)}`}</p>
<div class="figures">${figure('handshakes tried', h.tried)}${figure('answered', h.answered)}${figure('reset', h.reset)}${figure('ignored', h.ignored)}${figure('SYNs sent again', h.retried)}${figure('on ports used before', h.reused)}</div>
${findings.length === 0 ? '<p>Nothing to explain.</p>' : findings.join('\n')}
${plot(d.ports_over_time, d.duration)}
<h2>Sources and destinations</h2><div class="scroll"><table><thead><tr><th>source → destination</th><th>tried</th><th>answered</th><th>reset</th><th>ignored</th><th>ports</th><th>at once</th><th>held</th><th>reused after</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>
</body></html>
`;
};
