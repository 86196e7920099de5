/** What if: sliders for what could be changed here. The numbers are the core's, the same that `plan` and the remedies use. */
import type { Signal } from '@preact/signals';
import type { MeasuredStart } from '../../core/plan/from-space.ts';
import type { Stage } from '../../core/plan/stage.ts';
import { asItIs, changesOf, type Outlook, outlook, reuseMatters, reusesNow, type Tried, triedStage } from '../../core/plan/tried.ts';
import { formatRange } from '../../core/port-range.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import { timeLeft } from '../model/space.ts';

export interface WhatIfProps {
  readonly start: MeasuredStart;
  readonly stage: Stage;
  readonly tried: Signal<Tried | null>;
  /** Server connections that would do where they are shared; what the slider begins with. */
  readonly shareable: number;
}

const Slider = (props: {
  readonly label: string;
  readonly words: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly disabled?: boolean;
  readonly onInput: (value: number) => void;
}) => (
  <label class="slider">
    <span class="slider-head">
      <span>{props.label}</span>
      <span class="slider-words">{props.words}</span>
    </span>
    <input
      type="range"
      min={props.min}
      max={props.max}
      value={props.value}
      disabled={props.disabled ?? false}
      aria-label={props.label}
      aria-valuetext={props.words}
      onInput={(e) => props.onInput(Number(e.currentTarget.value))}
    />
  </label>
);

export const Switch = (props: {
  readonly label: string;
  readonly hint?: string;
  readonly on: boolean;
  readonly disabled?: boolean;
  readonly onChange: (on: boolean) => void;
}) => (
  <label class={`switch ${props.disabled ? 'disabled' : ''}`}>
    <input
      type="checkbox"
      role="switch"
      checked={props.on}
      aria-checked={props.on}
      disabled={props.disabled ?? false}
      onChange={(e) => props.onChange(e.currentTarget.checked)}
    />
    <span class="switch-track" aria-hidden="true" />
    <span>
      {props.label}
      {props.hint === undefined ? null : <span class="quiet small block">{props.hint}</span>}
    </span>
  </label>
);

const Comparison = ({ now, then }: { readonly now: Outlook; readonly then: Outlook | null }) => {
  const rows: readonly [string, (o: Outlook) => string][] = [
    ['Ports', (o) => formatNumber(o.capacity)],
    ['In the long run', (o) => formatPercent(o.usedRatio)],
    [
      'Time left',
      (o) => {
        const { figure, meaning } = timeLeft(o.forecast, o.usedRatio, o.capacity);
        return `${figure} ${meaning}`;
      },
    ],
  ];
  return (
    <table class="comparison" aria-live="polite">
      <thead>
        <tr>
          <td />
          <th scope="col">As it is</th>
          <th scope="col">As tried</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([label, words]) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            <td>{words(now)}</td>
            <td>{then === null ? <span class="quiet">move a slider</span> : <strong>{words(then)}</strong>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
};

export const WhatIf = ({ start, stage, tried, shareable }: WhatIfProps) => {
  const base = asItIs(start);
  const value = tried.value ?? base;
  const changes = changesOf(start, value);
  const set = (over: Partial<Tried>): void => {
    tried.value = { ...value, ...over };
  };
  const kernelChooses = start.kind === 'connect' || start.kind === 'bind';
  const most = Math.max(64, shareable * 4, Math.ceil(start.load.live));
  return (
    <div class="what-if">
      <fieldset class="stack">
        <legend class="unseen">What if</legend>
        <Slider
          label={start.kind === 'snat' ? 'Addresses of the NAT' : 'Source addresses'}
          words={value.addresses === 1 ? '1, as now' : `${value.addresses}`}
          value={value.addresses}
          min={1}
          max={16}
          onInput={(addresses) => set({ addresses })}
        />
        {kernelChooses && (
          <>
            <Slider
              label="Range begins at"
              words={`${value.range.low}${value.range.low === start.range.low ? ', as now' : ''}`}
              value={value.range.low}
              min={1024}
              max={Math.max(1024, start.range.high - 1)}
              onInput={(low) => set({ range: { low: Math.min(low, value.range.high - 1), high: value.range.high } })}
            />
            <Slider
              label="Range ends at"
              words={`${value.range.high}${value.range.high === start.range.high ? ', as now' : ''}`}
              value={value.range.high}
              min={Math.min(65535, start.range.low + 1)}
              max={65535}
              onInput={(high) => set({ range: { low: value.range.low, high: Math.max(high, value.range.low + 1) } })}
            />
            <p class="quiet small">
              {formatRange(value.range)}
              {start.blocked > 0 ? `, less the ${formatNumber(start.blocked)} ports blocked now` : ''}
            </p>
          </>
        )}
        {start.kind !== 'ledger' && (
          <Switch
            label="tcp_tw_reuse"
            hint={
              reuseMatters(start)
                ? `connect() takes a TIME_WAIT after ${formatDuration(start.twReuseDelay)}; needs timestamps on both ends`
                : reusesNow(start)
                  ? 'connect() takes TIME_WAITs here already'
                  : start.kind === 'connect'
                    ? 'does nothing here: timestamps are off'
                    : 'does nothing here: only connect() takes TIME_WAITs'
            }
            on={value.reuse}
            disabled={!reuseMatters(start)}
            onChange={(reuse) => set({ reuse })}
          />
        )}
        <Switch
          label="Connection multiplexing"
          hint="requests share connections that stay open; no TIME_WAIT is made"
          on={value.shared !== null}
          onChange={(on) => set({ shared: on ? shareable : null })}
        />
        {value.shared !== null && (
          <Slider
            label="Shared connections"
            words={formatNumber(value.shared)}
            value={value.shared}
            min={1}
            max={most}
            onInput={(shared) => set({ shared })}
          />
        )}
        <button
          type="button"
          class="button"
          disabled={tried.value === null}
          onClick={() => {
            tried.value = null;
          }}
        >
          As it is
        </button>
      </fieldset>
      <Comparison now={outlook(stage)} then={changes.length === 0 ? null : outlook(triedStage(stage, changes))} />
    </div>
  );
};
