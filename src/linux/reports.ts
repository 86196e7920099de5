/** Sensors' reports over several namespaces: the worst status of each, its time added up. */
import type { Reading, SensorReport } from '../core/host-sample.ts';

export class Reports {
  private readonly byName = new Map<string, SensorReport>();

  /** Runs a sensor and notes how it went. */
  measure<T>(name: string, read: () => { readonly value: T; readonly reading: Reading<unknown> }): T {
    const start = performance.now();
    const { value, reading } = read();
    this.note(name, reading, (performance.now() - start) / 1000);
    return value;
  }

  note(name: string, reading: Reading<unknown>, duration: number): void {
    const known = this.byName.get(name);
    const hint = reading.status === 'ok' ? '' : reading.hint;
    this.byName.set(name, {
      name,
      status: known !== undefined && known.status !== 'ok' ? known.status : reading.status,
      duration: (known?.duration ?? 0) + duration,
      hint: known !== undefined && known.hint !== '' ? known.hint : hint,
    });
  }

  all(): readonly SensorReport[] {
    return [...this.byName.values()];
  }
}
