/** What a NAT box is promised, on flows that its conntrack really tracks. In one process by itself: it opens 330 connections a second. */
import { expect } from 'vitest';
import type { PortSpace } from '../../src/core/port-space.ts';
import { churn } from '../support/churn.ts';
import { remedyOf, spacesOf } from '../support/look.ts';
import { wire } from '../support/namespace.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { listen, open, reset } from '../support/sockets.ts';

kernelTest(
  'a shorter time_wait of conntrack keeps that share of translated ports',
  async () => {
    const [box, client, server] = [namespace({ sysctls: { 'net.ipv4.ip_forward': 1 } }), namespace(), namespace()];
    wire(client, box, 'c', '10.81.0.1', '10.81.0.254');
    wire(server, box, 's', '10.82.0.2', '10.82.0.254');
    client.exec('ip', 'route', 'add', 'default', 'via', '10.81.0.254');
    box.exec(
      'nft',
      'add table ip n; add chain ip n post { type nat hook postrouting priority 100; }; add rule ip n post oifname "s" masquerade',
    );
    // Most of what is held does not answer and stays; the rest are short connections, whose TIME_WAIT is the remedy's.
    const silent = 39_000;
    server.exec(
      'nft',
      `add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp sport 1024-${1023 + silent} drop`,
    );
    box.sysctl('net.netfilter.nf_conntrack_tcp_timeout_syn_sent', 600);
    box.sysctl('net.netfilter.nf_conntrack_tcp_timeout_time_wait', 50);
    const listener = server.run(() => listen('10.82.0.2', 80));
    client.run(() => {
      for (let port = 1024; port < 1024 + silent; port++)
        reset(open('10.82.0.2', 80, { bind: ['10.81.0.1', port], reuseAddress: true, nonBlocking: true }));
    });
    const inTurn = { source: '10.81.0.1', low: 1024 + silent, high: 65535 };
    const load = churn(client, '10.82.0.2', 80, listener, { rate: 330, closer: 'server', inTurn });
    // A look of 50,000 flows holds this process up, and with it the load whose rate it is to see.
    const caughtUp = async (): Promise<void> => {
      await until('the load to catch up', () => load.opened > load.elapsed * 330 - 20, 30_000);
    };
    const snat = (): PortSpace => spacesOf(box).find((m) => m.space.kind === 'snat')!.space;
    try {
      await until('the first TIME_WAITs to end', () => load.elapsed > 51 && snat().usedRatio > 0.83, 90_000);
      const { effect, remedy, space } = await remedyOf(box, 'conntrack_settings', caughtUp);
      expect(space.usedRatio).toBeGreaterThan(0.8);
      expect(remedy.settings).toEqual([{ name: 'net.netfilter.nf_conntrack_tcp_timeout_time_wait', from: '50', to: '30' }]);
      for (const command of remedy.commands) box.exec('sh', '-c', command);
      const applied = load.elapsed;
      await until('what began under the old setting to end', () => load.elapsed > applied + 51, 80_000);
      await caughtUp();
      const measured = snat().usedRatio;
      console.log(`conntrack: ${space.usedRatio.toFixed(4)} used, said ${effect.usedRatio.toFixed(4)}, measured ${measured.toFixed(4)}`);
      expect(Math.abs(measured - effect.usedRatio)).toBeLessThanOrEqual(0.05);
      // A tenth of the ports is what the setting moves: half of that would not tell it from nothing.
      expect(space.usedRatio - measured).toBeGreaterThan(0.07);
      expect(load.failures).toBe(0);
    } finally {
      load.stop();
    }
  },
  240_000,
);
