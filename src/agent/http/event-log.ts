/**
 * What happened, for readers who want to hear of it at once or a little later: a ring of the newest events with ids that only
 * grow. An id says which run of the agent it belongs to, so that a reader who resumes after a restart is told to start anew.
 */
import type { AgentEvents, AgentEventType } from '../../wire/api.ts';

export interface LoggedEvent {
  readonly id: string;
  readonly sequence: number;
  readonly type: AgentEventType;
  /** The data as JSON, with process names or without: made once for all readers. */
  text(named: boolean): string;
}

type Listener = (event: LoggedEvent) => void;

/** How many events are kept: about five minutes at one sample a second, a few MB. */
const KEPT = 300;

export class EventLog {
  private readonly run: string;
  private readonly kept: LoggedEvent[] = [];
  private readonly listeners = new Set<Listener>();
  private sequence = 0;

  /** `run` tells this run of the agent from others; letters and digits. */
  constructor(run: string) {
    this.run = run;
  }

  /** Notes an event. `anonymous` is the data without process names, where it has any. */
  append<T extends AgentEventType>(type: T, data: AgentEvents[T], anonymous: AgentEvents[T] = data): LoggedEvent {
    this.sequence++;
    // As text at once: what is kept for those who come back is a few MB of strings, not the documents with all that hangs on them.
    const named = JSON.stringify(data);
    const open = data === anonymous ? named : JSON.stringify(anonymous);
    const event: LoggedEvent = {
      id: `${this.run}-${this.sequence}`,
      sequence: this.sequence,
      type,
      text: (withNames) => (withNames ? named : open),
    };
    this.kept.push(event);
    if (this.kept.length > KEPT) this.kept.shift();
    for (const listener of this.listeners) listener(event);
    return event;
  }

  /** The newest event of a type that is still known. */
  newest(type: AgentEventType): LoggedEvent | null {
    return this.kept.findLast((e) => e.type === type) ?? null;
  }

  /** The newest id; what a reader who has read everything resumes from. */
  get lastId(): string {
    return `${this.run}-${this.sequence}`;
  }

  /** What came after `id`, oldest first; null if that is not known (another run, too long ago, no id at all). */
  since(id: string): readonly LoggedEvent[] | null {
    const match = /^([a-z0-9]+)-(\d{1,15})$/.exec(id);
    if (match === null || match[1] !== this.run) return null;
    const after = Number(match[2]);
    const oldest = this.kept[0]?.sequence ?? this.sequence + 1;
    if (after > this.sequence || after + 1 < oldest) return null;
    return this.kept.filter((e) => e.sequence > after);
  }

  /** Calls `listener` at every event until the function returned is called. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}
