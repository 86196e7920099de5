/** Link layers: where the IP header begins. Numbers are those of the LINKTYPE registry (tcpdump.org/linktypes). */

export const linkNames: Readonly<Record<number, string>> = {
  0: 'BSD loopback',
  1: 'Ethernet',
  12: 'raw IP',
  14: 'raw IP',
  101: 'raw IP',
  108: 'OpenBSD loopback',
  113: 'Linux cooked v1',
  228: 'raw IPv4',
  229: 'raw IPv6',
  276: 'Linux cooked v2',
};

export const notIp = -1;
export const cutShort = -2;
export const unknownLink = -3;

/** The offset of what follows an EtherType at `at`, VLAN and QinQ tags (802.1Q, 802.1ad) passed over. */
const afterEtherType = (view: DataView, at: number, end: number): number => {
  for (let tags = 0; tags < 8; tags++) {
    if (at + 2 > end) return cutShort;
    const type = view.getUint16(at);
    if (type === 0x0800 || type === 0x86dd) return at + 2;
    if (type !== 0x8100 && type !== 0x88a8 && type !== 0x9100) return notIp;
    at += 4;
  }
  return notIp;
};

/** The offset of the IP header of the packet from `at` to `end`, or why there is none. */
export const ipOffset = (view: DataView, at: number, end: number, link: number): number => {
  switch (link) {
    case 1:
      return afterEtherType(view, at + 12, end);
    case 113:
      return afterEtherType(view, at + 14, end);
    case 276: {
      // The protocol comes first here; a tag, where there is one, stands behind the 20-byte header.
      if (at + 20 > end) return cutShort;
      const type = view.getUint16(at);
      if (type === 0x0800 || type === 0x86dd) return at + 20;
      return type === 0x8100 || type === 0x88a8 ? afterEtherType(view, at + 22, end) : notIp;
    }
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      return at;
    case 0:
    case 108:
      // The address family's number differs between systems; the version nibble of the header behind it does not.
      return at + 4;
    default:
      return unknownLink;
  }
};
