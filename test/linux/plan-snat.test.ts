/**
 * The plan's NAT against nf_nat: connections translated to a hundred ports, at the sustainable rate, above it, and far above it. For
 * closed connections the plan is a lower bound: kernels that let a new connection take a closed one's port lose fewer than it says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { totalFigures } from '../../src/core/plan/figures.ts';
import { stagesOf } from '../../src/core/plan/stage.ts';
import { defaultWorkload, type Workload } from '../../src/core/plan/workload.ts';
import { kernelTest, linked, type Namespace } from '../support/netns.ts';
import { acceptAll, close, listen, open, reset } from '../support/sockets.ts';

const SECONDS = 36;
const SERVER = '10.77.0.2';
const RANGE = { low: 20000, high: 20099 };

/** Connections at `rate`, each held for `duration`; a SYN that the NAT drops never reaches the listener. Seconds of those lost. */
const run = async (client: Namespace, server: Namespace, port: number, w: Workload, rate: number): Promise<readonly number[]> => {
  const listener = server.run(() => listen(SERVER, port));
  const open_: { readonly ends: number; readonly client: number; readonly server: readonly number[] }[] = [];
  const lost: number[] = [];
  const start = performance.now();
  let next = 0;
  for (;;) {
    const now = (performance.now() - start) / 1000;
    while (open_.length > 0 && open_[0]!.ends <= now) {
      const c = open_.shift()!;
      if (w.closer === 'reset') reset(c.client);
      else close(c.client);
      close(...c.server);
    }
    while (next / rate <= now && now < SECONDS) {
      const due = next++ / rate;
      const fd = client.run(() => open(SERVER, port, { nonBlocking: true }));
      const accepted = server.run(() => acceptAll(listener));
      if (accepted.length === 0) {
        lost.push(now);
        // Ended at once: its SYN would be sent again.
        reset(fd);
      } else open_.push({ ends: due + w.duration, client: fd, server: accepted });
    }
    if (now > SECONDS) break;
    await sleep(1);
  }
  for (const c of open_) {
    reset(c.client);
    close(...c.server);
  }
  close(listener);
  return lost;
};

describe.concurrent('a planned NAT', () => {
  for (const [name, workload, sysctls, exact] of [
    ['connections that are reset, remembered 10 s', { closer: 'reset' as const, duration: 3 }, {}, false],
    [
      'connections that are closed, remembered 8 s',
      { closer: 'client' as const, duration: 3 },
      { 'net.netfilter.nf_conntrack_tcp_timeout_time_wait': 8 },
      false,
    ],
    ['connections that stay open', { closer: 'client' as const, duration: 40 }, {}, true],
  ] as const) {
    kernelTest(
      `${name}: none is lost at the sustainable rate${exact ? ', and at twice that the first when the plan says' : ''}`,
      async () => {
        const [client, server] = linked({ sysctls });
        const snat = { range: RANGE, addresses: 1, timeWait: 8, afterReset: 10 };
        const w: Workload = { ...defaultWorkload, ...workload, snat };
        const nat = (rate: number) => totalFigures(stagesOf({ ...w, rate })[1]!);
        const { sustainableRate } = nat(1);
        const rates = [sustainableRate, sustainableRate * 1.05, sustainableRate * 2];
        client.exec(
          'nft',
          'table ip nat { chain out { type nat hook postrouting priority 100; ' +
            rates.map((_, i) => `tcp dport ${8000 + i} snat to 10.77.0.1:${RANGE.low}-${RANGE.high};`).join(' ') +
            ' }; }',
        );
        const lost = await Promise.all(rates.map((rate, i) => run(client, server, 8000 + i, w, rate)));
        const expected = nat(rates[2]!).exhaustsAfter!;
        console.log(
          `${name}: ${sustainableRate.toFixed(2)}/s lost ${lost[0]!.length}; 5 % more lost ${lost[1]!.length}, the first after ${lost[1]![0]?.toFixed(2)} s; twice lost ${lost[2]!.length}, the first after ${lost[2]![0]?.toFixed(2)} s, planned ${expected.toFixed(2)} s`,
        );
        expect(lost[0]).toEqual([]);
        if (exact) expect(Math.abs(lost[2]![0]! - expected) / expected).toBeLessThan(0.03);
      },
      90_000,
    );
  }
});
