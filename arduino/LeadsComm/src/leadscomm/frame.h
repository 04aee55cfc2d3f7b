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

// Of at least one byte. Both ways need it, so it is there once.
LEADSCOMM_APART inline Crc16 crcOf(const uint8_t* bytes, uint8_t size) {
  Crc16 crc;
  do crc.add(*bytes++);
  while (--size);
  return crc;
}

// Copies few bytes: in less flash than a call.
LEADSCOMM_WITHIN inline void copy(uint8_t* to, const uint8_t* from, uint8_t size) {
  while (size--) *to++ = *from++;
}

// Makes a frame of what is in its place already, the header and the payload; `left` bytes come before its own 00. From
// its end to its beginning, each 00 learns how far the next one is.
LEADSCOMM_WITHIN inline void seal(uint8_t* frame, uint8_t left) {
  frame[0] = 0;
  Crc16 crc = crcOf(frame + codeBytes, left - (codeBytes + crcBytes));
  uint8_t body = left - crcBytes;
  frame += body;
  frame[0] = uint8_t(~crc.high);
  frame[1] = uint8_t(~crc.low);
  frame[2] = 0;
  frame += crcBytes;
  uint8_t distance = 0;
  do {
    ++distance;
    if (*--frame == 0) {
      *frame = distance;
      distance = 0;
    }
  } while (--left);
}

inline void encode(uint8_t* frame, uint8_t header, const uint8_t* payload, uint8_t size) {
  frame[codeBytes] = header;
  memcpy(frame + codeBytes + headerBytes, payload, size);
  seal(frame, size + (overheadBytes - 1));
}

// Puts the 00 back into the `left` bytes of a frame, at least one, that come before its own. False: it is damaged; one
// that was sealed here cannot be.
LEADSCOMM_WITHIN inline bool unstuff(uint8_t* code, uint8_t left, bool sealedHere = false) {
  do {
    uint8_t distance = *code;
    if (!sealedHere && distance > left) return false;
    *code = 0;
    code += distance;
    left -= distance;
  } while (left);
  return true;
}

// Takes a frame of `size` bytes, without its 00: the header is in frame[1] then, and the payload, of size - 4 bytes,
// behind it. False: it is damaged.
inline bool decode(uint8_t* frame, uint8_t size) {
  if (size < overheadBytes - 1 || !unstuff(frame, size)) return false;
  Crc16 crc = crcOf(frame + codeBytes, size - codeBytes);
  return crc.high == goodHigh && crc.low == goodLow;
}

}  // namespace leadscomm

#endif
