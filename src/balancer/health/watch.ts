/**
 * Watches one server with its monitors: probes at their intervals, counts answers in a row, and says when the server goes up
 * or down. A server nobody has looked at yet is
 * taken to be up. A `local` answer says nothing about the server and changes no count.
 */
import type { MonitorResult } from '../engine.ts';
import { type MonitorPorts, type ProbeClass, probe, type Question, type Target } from './probe.ts';

export interface Monitor extends Question {
  readonly name: string;
  readonly send_interval: number;
  readonly successful_checks: number;
  readonly failed_checks: number;
}

/** What all watches with one monitor have seen. */
export type MonitorCounters = Record<'probes' | 'up' | 'refused' | 'timeout' | 'bad_response' | 'local' | 'collisions', number>;

export const noProbes = (): MonitorCounters => ({ probes: 0, up: 0, refused: 0, timeout: 0, bad_response: 0, local: 0, collisions: 0 });

export interface WatchReport {
  /** A probe was answered; `collisions`: RSTs before a port worked. */
  probed(monitor: Monitor, result: MonitorResult, collisions: number): void;
  changed(up: boolean, reason: string): void;
}

interface Streak {
  readonly monitor: Monitor;
  up: boolean | null;
  good: number;
  bad: number;
  last: MonitorResult | null;
  timer: NodeJS.Timeout | null;
}

const failing: ReadonlySet<ProbeClass> = new Set(['refused', 'timeout', 'bad_response']);

export class ServerWatch {
  private readonly target: Target;
  private readonly ports: MonitorPorts | null;
  private readonly report: WatchReport;
  private readonly streaks: readonly Streak[];
  private up: boolean | null = null;
  private stopped = false;

  constructor(target: Target, monitors: readonly Monitor[], ports: MonitorPorts | null, report: WatchReport) {
    this.target = target;
    this.ports = ports;
    this.report = report;
    this.streaks = monitors.map((monitor) => ({ monitor, up: null, good: 0, bad: 0, last: null, timer: null }));
    for (const streak of this.streaks) void this.look(streak);
  }

  get last(): readonly MonitorResult[] {
    return this.streaks.flatMap((s) => s.last ?? []);
  }

  stop(): void {
    this.stopped = true;
    for (const streak of this.streaks) if (streak.timer !== null) clearTimeout(streak.timer);
  }

  private async look(streak: Streak): Promise<void> {
    const { monitor } = streak;
    const due = Date.now() + monitor.send_interval * 1000;
    const result = await probe(this.target, monitor, this.ports);
    if (this.stopped) return;
    const seen: MonitorResult = {
      monitor: monitor.name,
      class: result.class,
      detail: result.detail,
      at: new Date().toISOString(),
      duration: Math.round(result.duration * 1e6) / 1e6,
    };
    streak.last = seen;
    this.report.probed(monitor, seen, result.collisions);
    this.count(streak, result.class);
    streak.timer = setTimeout(() => void this.look(streak), Math.max(1, due - Date.now()));
  }

  private count(streak: Streak, answer: ProbeClass): void {
    const { monitor } = streak;
    if (answer === 'up') {
      streak.good++;
      streak.bad = 0;
      if (streak.up === null || (streak.up === false && streak.good >= monitor.successful_checks)) streak.up = true;
    } else if (failing.has(answer)) {
      streak.bad++;
      streak.good = 0;
      if (streak.up !== false && streak.bad >= monitor.failed_checks) streak.up = false;
    }
    const bad = this.streaks.find((s) => s.up === false);
    const up = bad !== undefined ? false : this.streaks.every((s) => s.up === true) ? true : null;
    if (up === null || up === this.up) return;
    this.up = up;
    this.report.changed(
      up,
      up
        ? this.streaks.length === 1
          ? `monitor ${streak.monitor.name}: ${streak.last?.detail ?? ''}`
          : `all ${this.streaks.length} monitors succeed`
        : `monitor ${bad!.monitor.name}: ${bad!.last?.class ?? ''}, ${bad!.last?.detail ?? ''}`,
    );
  }
}
