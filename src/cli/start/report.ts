/** A plan's beginning read off a report: `plimsoll doctor --json`, a file or a pipe. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { PlimsollError } from '../../core/errors.ts';
import type { Load } from '../../core/forecast.ts';
import { type MeasuredStart, reuseAllowed, startWith } from '../../core/plan/from-space.ts';
import { TIME_WAIT_SECONDS, timerGranule } from '../../core/timer-tick.ts';
import type { ReportDocument } from '../../wire/report.ts';
import type { Shell } from '../shell.ts';
import { chooseSpace } from './live.ts';

const read = async (path: string, shell: Shell): Promise<string> => {
  if (path === '-') return text(shell.stdin);
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new PlimsollError('file_not_found', { path, reason: (cause as NodeJS.ErrnoException).code ?? 'it cannot be read' }, { cause });
  }
};

const parse = async (path: string, content: string): Promise<ReportDocument> => {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (cause) {
    throw new PlimsollError('report_unusable', { path, reason: (cause as Error).message }, { cause });
  }
  const { reportSchema } = await import('../../wire/report-schema.ts');
  const parsed = reportSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new PlimsollError('report_unusable', { path, reason: `${issue!.path.join('.') || 'the document'}: ${issue!.message}` });
  }
  return parsed.data;
};

/** What the space's entry in the report says; a report has no ages, so its TIME_WAITs count as evenly old. */
const startOf = (report: ReportDocument, space: ReportDocument['port_spaces'][number]): MeasuredStart => {
  const settings = report.namespaces.find((n) => n.name === space.namespace);
  const twReuse = settings?.tcp_tw_reuse ?? 2;
  const twReuseDelay = settings?.tcp_tw_reuse_delay ?? 1;
  const reuses = space.kind === 'connect' && space.reusable > 0 && reuseAllowed(space, twReuse);
  const life = reuses ? twReuseDelay : TIME_WAIT_SECONDS;
  const waiting = Math.min(space.used, Math.max(0, space.by_state.time_wait - space.reusable));
  const load: Load = {
    live: space.used - waiting,
    liveSlope: 0,
    timeWaitRate: space.time_wait_rate,
    timeWaits: Array.from({ length: waiting }, (_, i) => (life * (i + 0.5)) / waiting),
    timeWaitLife: life,
    tick: reuses ? 0 : timerGranule(TIME_WAIT_SECONDS, report.host.tick_hz ?? 250),
    events: 0,
  };
  return startWith({ ...space, openRate: space.open_rate }, load, { twReuse, twReuseDelay, timestamps: settings?.tcp_timestamps ?? true });
};

/** Reads the beginning off the report at `path` (`-` is stdin). Throws file_not_found, report_unusable, space_not_found. */
export const readReportStart = async (path: string, wanted: string | null, shell: Shell): Promise<MeasuredStart> => {
  const report = await parse(path, await read(path, shell));
  return startOf(
    report,
    chooseSpace(report.port_spaces, (s) => s.id, wanted, path === '-' ? 'the report' : path),
  );
};
