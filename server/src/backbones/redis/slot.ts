const SLOTS = 16_384;

/**
 * The hash slot of a key: CRC-16/XMODEM of what stands between the first `{` and the next `}`, else of the whole key.
 *
 * Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
 */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}
