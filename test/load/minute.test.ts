/** The kernel's own minute: TIME_WAIT lasts 60 s and a tick, so a sustainable rate shows after that and not before. */
import { describe, expect } from 'vitest';
import { kernelTest, namespace } from '../support/netns.ts';
import { load, serveHttp, unaccounted } from './support.ts';

const server = '10.66.0.1';

describe('plimsoll load and TIME_WAIT as it is', () => {
  kernelTest(
    'a rate a little below the sustainable one never fails; a little above it fails when predicted',
    async () => {
      const run = async (rate: string) => {
        const ns = namespace({ range: [40000, 40619], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 }, addresses: [server] });
        serveHttp(ns, server, 80, (_q, a) => a.end('hello'));
        return (await load(ns, `http://${server}/ --rate ${rate} --duration 66s --requests-per-connection 1`)).document;
      };
      // 619 ports in 62.048 s at HZ 250: 9.98 a second.
      const [below, above] = await Promise.all([run('9.6/s'), run('10.6/s')]);
      const sustainable = below.prediction.sustainable_rate!;
      expect(sustainable).toBeGreaterThan(9.6);
      expect(sustainable).toBeLessThan(10.4);
      expect([below.prediction.lasts, below.ok, below.exhausted_after]).toEqual([true, 634, null]);
      // Our own count of the ports in use, without asking the kernel: at most what the plateau and a whole tick make.
      expect(below.ports.peak_used / (9.6 * 61)).toBeGreaterThan(0.95);
      expect(below.ports.peak_used / (9.6 * 61)).toBeLessThan(1.05);
      expect(above.exhausted_after! / above.prediction.exhausts_after!).toBeGreaterThan(0.99);
      expect(above.exhausted_after! / above.prediction.exhausts_after!).toBeLessThan(1.05);
      expect(above.prediction.exhausts_after).toBeCloseTo(620 / 10.6, 0);
      expect([unaccounted(below), unaccounted(above)]).toEqual([
        [0, 0],
        [0, 0],
      ]);
    },
    100_000,
  );
});
