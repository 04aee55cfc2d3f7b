// The CRC of frames: polynomial 0x1021, highest bit first, register 0xFFFF at the start (docs/wire-protocol.md).

#ifndef LEADSCOMM_CRC16_H
#define LEADSCOMM_CRC16_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

namespace leadscomm {

// The register after the complement of a message's CRC has run through it, too.
static const uint16_t crcOfGoodFrame = 0x1D0F;

// The register after `size` bytes. It is kept as two bytes and shifted by four at a time, which suits 8-bit processors,
// where it takes a third of the time of the usual loop over bits; a table would take 512 bytes.
inline uint16_t crc16(const uint8_t* data, size_t size) {
  uint8_t high = 0xFF;
  uint8_t low = 0xFF;
  for (const uint8_t* end = data + size; data != end; ++data) {
    uint8_t mixed = high ^ *data;
    mixed ^= mixed >> 4;
    high = low ^ uint8_t(mixed << 4) ^ uint8_t(mixed >> 3);
    low = mixed ^ uint8_t(mixed << 5);
  }
  return uint16_t(high << 8 | low);
}

}  // namespace leadscomm

#endif
