/** What may be wider than the screen: it scrolls by itself, and can be reached and scrolled by keyboard. */
import type { ComponentChildren } from 'preact';

export const Scrolled = ({ label, children }: { readonly label: string; readonly children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
  <section class="scroll-x" tabIndex={0} aria-label={label}>
    {children}
  </section>
);
