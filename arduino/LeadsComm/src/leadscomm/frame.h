// Frames as they are on the wire: COBS(header, payload, complement of the CRC), 00. See "COBS with a CRC" in
// docs/wire-protocol.md.
//
// A frame is made and taken apart in place. Its body (header, payload, CRC) lies behind one free byte; each 00 in the
// body, and that free byte, is replaced by the distance to the next 00. That is all of COBS as long as no run has 254
// bytes, and so no frame here is longer than that.

#ifndef LEADSCOMM_FRAME_H
#define LEADSCOMM_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"

namespace leadscomm {

static const uint8_t codeBytes = 1;  // in front of the body
static const uint8_t headerBytes = 1;
static const uint8_t crcBytes = 2;
static const uint8_t overheadBytes = codeBytes + headerBytes + crcBytes + 1;
static const size_t longestPayload = 250;

static const uint8_t goodHigh = 0x1D;  // the register after the body of a good frame
static const uint8_t goodLow = 0x0F;

// The CRC of the bytes added: polynomial 0x1021, highest bit first, register 0xFFFF at the start. The register is
// kept as two bytes, and all eight bits of a byte go through it at once, by shifts that an AVR is quick at. A table
// would be little faster, and take 512 bytes.
struct Crc16 {
  uint8_t high = 0xFF;
  uint8_t low = 0xFF;

  LEADSCOMM_WITHIN void add(uint8_t byte) {
    byte ^= high;
    byte ^= byte >> 4;
    uint8_t raised = uint8_t(byte << 4);
    high = low ^ raised ^ uint8_t(byte >> 3);
    low = byte ^ uint8_t(raised << 1);
  }
};

// Unstuffs a frame of `size` bytes, without its 00: the body is behind frame[0] then. False: it is no frame.
inline bool unstuff(uint8_t* frame, uint8_t size) {
  while (size) {
    uint8_t code = *frame;
    if (code > size) return false;
    *frame = 0;
    frame += code;
    size -= code;
  }
  return true;
}

// Writes a frame of size + overheadBytes bytes.
inline void encode(uint8_t* frame, uint8_t header, const uint8_t* payload, uint8_t size) {
  uint8_t* code = frame;
  Crc16 crc;
  for (uint8_t byte = header;; byte = *payload++) {
    *++frame = byte;
    if (byte == 0) {
      *code = uint8_t(frame - code);
      code = frame;
    }
    crc.add(byte);
    if (size-- == 0) break;
  }
  frame[1] = uint8_t(~crc.high);
  frame[2] = uint8_t(~crc.low);
  frame[3] = 0;
  for (uint8_t left = crcBytes + 1; left; --left) {
    if (*++frame == 0) {
      *code = uint8_t(frame - code);
      code = frame;
    }
  }
}

// Takes a frame of `size` bytes, without its 00: the header is in frame[1] then, and the payload, of size - 4 bytes,
// behind it. False: it is damaged.
inline bool decode(uint8_t* frame, uint8_t size) {
  if (size < overheadBytes - 1 || !unstuff(frame, size)) return false;
  Crc16 crc;
  while (--size) crc.add(*++frame);
  return crc.high == goodHigh && crc.low == goodLow;
}

}  // namespace leadscomm

#endif
