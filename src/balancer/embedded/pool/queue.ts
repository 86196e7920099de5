/** A queue whose members can leave from the middle: first in, first out, everything in constant time. */

export interface Queued {
  queueNext: Queued | null;
  queuePrevious: Queued | null;
  /** Whether it is in a queue. */
  inQueue: boolean;
  /** Milliseconds on the clock of the one who queued it. */
  queuedAt: number;
}

export class Queue<T extends Queued> {
  private head: Queued | null = null;
  private tail: Queued | null = null;
  length = 0;

  get first(): T | null {
    return this.head as T | null;
  }

  push(item: T): void {
    item.inQueue = true;
    item.queueNext = null;
    item.queuePrevious = this.tail;
    if (this.tail === null) this.head = item;
    else this.tail.queueNext = item;
    this.tail = item;
    this.length++;
  }

  /** Before everybody else: for one that was served and has to wait again. */
  unshift(item: T): void {
    item.inQueue = true;
    item.queuePrevious = null;
    item.queueNext = this.head;
    if (this.head === null) this.tail = item;
    else this.head.queuePrevious = item;
    this.head = item;
    this.length++;
  }

  remove(item: T): void {
    if (!item.inQueue) return;
    if (item.queuePrevious === null) this.head = item.queueNext;
    else item.queuePrevious.queueNext = item.queueNext;
    if (item.queueNext === null) this.tail = item.queuePrevious;
    else item.queueNext.queuePrevious = item.queuePrevious;
    item.queueNext = null;
    item.queuePrevious = null;
    item.inQueue = false;
    this.length--;
  }
}
