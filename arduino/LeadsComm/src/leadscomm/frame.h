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

static const uint16_t crcOfGoodFrame = 0x1D0F;  // the register after the body of a good frame

// Copies `first` and `size` bytes more, which may lie where they are copied to, and returns their CRC: polynomial 0x1021,
// highest bit first, register 0xFFFF at the start. The register is kept as two bytes and shifted by four bits at a time.
// That takes an AVR a third of the time of the loop over bits, and none of the 512 bytes of a table.
inline uint16_t copyWithCrc(uint8_t* to, uint8_t first, const uint8_t* from, uint8_t size) {
  uint8_t high = 0xFF;
  uint8_t low = 0xFF;
  for (uint8_t byte = first;; byte = *from++) {
    *to++ = byte;
    byte ^= high;
    byte ^= byte >> 4;
    uint8_t raised = uint8_t(byte << 4);
    high = low ^ raised ^ uint8_t(byte >> 3);
    low = byte ^ uint8_t(raised << 1);
    if (size-- == 0) return uint16_t(high << 8 | low);
  }
}

// Stuffs the body of `size` bytes behind frame[0], and ends the frame with 00. The frame gets size + 2 bytes.
inline void stuff(uint8_t* frame, uint8_t size) {
  uint8_t* code = frame;
  uint8_t* byte = frame;
  while (size--) {
    if (*++byte == 0) {
      *code = uint8_t(byte - code);
      code = byte;
    }
  }
  *++byte = 0;
  *code = uint8_t(byte - code);
}

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
  uint16_t check = ~copyWithCrc(frame + codeBytes, header, payload, size);
  uint8_t* end = frame + codeBytes + headerBytes + size;
  end[0] = uint8_t(check >> 8);
  end[1] = uint8_t(check);
  stuff(frame, size + headerBytes + crcBytes);
}

// Takes a frame of `size` bytes, without its 00: the header is in frame[1] then, and the payload, of size - 4 bytes,
// behind it. False: it is damaged.
inline bool decode(uint8_t* frame, uint8_t size) {
  uint8_t* body = frame + codeBytes;
  return size >= overheadBytes - 1 && unstuff(frame, size) &&
         copyWithCrc(body, *body, body + 1, size - codeBytes - headerBytes) == crcOfGoodFrame;
}

}  // namespace leadscomm

#endif
