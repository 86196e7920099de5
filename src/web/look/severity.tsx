/** How grave something is, by word and sign as well as colour. */
import type { Nearness, Severity } from '../model/space.ts';

const words: Readonly<Record<Severity | Nearness, { readonly sign: string; readonly word: string }>> = {
  critical: { sign: '✖', word: 'Critical' },
  warning: { sign: '▲', word: 'Warning' },
  info: { sign: '•', word: 'Note' },
  calm: { sign: '✓', word: 'Safe' },
};

export const SeverityTag = ({ of }: { readonly of: Severity | Nearness }) => (
  <span class={`tag ${of}`}>
    <span aria-hidden="true">{words[of].sign}</span>
    {words[of].word}
  </span>
);
