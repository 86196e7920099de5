/** Server-sent events out of a byte stream (WHATWG HTML, 9.2.6): fetch can send the token, EventSource cannot. */

export interface ServerEvent {
  readonly type: string;
  readonly id: string;
  readonly data: string;
}

/** A field longer than this is not ours: the stream is given up rather than kept in memory. */
const LONGEST = 64 * 1024 * 1024;

/** Text in whatever pieces it comes → events, in order. `lastId` is what a reader resumes by. */
export class EventReader {
  lastId = '';
  private rest = '';
  private type = '';
  private data: string[] = [];
  private begun = false;

  push(text: string): readonly ServerEvent[] {
    // A byte order mark may stand at the very beginning.
    if (!this.begun && text.length > 0) {
      this.begun = true;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    this.rest += text;
    if (this.rest.length > LONGEST) throw new Error('an event longer than this page reads');
    const events: ServerEvent[] = [];
    let from = 0;
    for (;;) {
      let end = from;
      while (end < this.rest.length && this.rest[end] !== '\n' && this.rest[end] !== '\r') end++;
      if (end >= this.rest.length) break;
      // A CR at the end may be half of a CRLF: wait for what follows.
      if (this.rest[end] === '\r' && end + 1 >= this.rest.length) break;
      const event = this.line(this.rest.slice(from, end));
      if (event !== null) events.push(event);
      from = end + (this.rest[end] === '\r' && this.rest[end + 1] === '\n' ? 2 : 1);
    }
    this.rest = this.rest.slice(from);
    return events;
  }

  private line(line: string): ServerEvent | null {
    if (line === '') {
      const event = this.data.length === 0 ? null : { type: this.type || 'message', id: this.lastId, data: this.data.join('\n') };
      this.type = '';
      this.data = [];
      return event;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.type = value;
    else if (field === 'data') this.data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.lastId = value;
    return null;
  }
}
