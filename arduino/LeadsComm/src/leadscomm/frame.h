// Frames as they are on the wire: COBS(header, payload, complement of the CRC), 00. See "COBS with a CRC" in
// docs/wire-protocol.md.
//
// Both directions work in place. A body (header, payload, CRC) lies behind one free byte; each 00 in it, and that free
// byte, is replaced by the distance to the next 00, which is all that COBS is as long as no run has 254 bytes.

#ifndef LEADSCOMM_FRAME_H
#define LEADSCOMM_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"
#include "crc16.h"

namespace leadscomm {

static const uint8_t headerBytes = 1;
static const uint8_t crcBytes = 2;
static const uint8_t codeBytes = 1;      // in front of the body
static const uint8_t overheadBytes = 5;  // a frame of n bytes of payload has n + 5 on the wire
static const size_t longestPayload = 250;

// Stuffs the body of `size` bytes behind frame[0], and ends the frame with 00. The frame gets size + 2 bytes.
inline void stuff(uint8_t* frame, uint8_t size) {
  uint8_t* code = frame;
  uint8_t distance = 1;
  for (uint8_t* byte = frame + 1; size; --size, ++byte, ++distance) {
    if (*byte == 0) {
      *code = distance;
      code = byte;
      distance = 0;
    }
  }
  *code = distance;
  code[distance] = 0;
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
  frame[1] = header;
  memcpy(frame + 2, payload, size);
  uint16_t check = ~crc16(frame + 1, size + headerBytes);
  uint8_t* end = frame + 2 + size;
  end[0] = uint8_t(check >> 8);
  end[1] = uint8_t(check);
  stuff(frame, size + headerBytes + crcBytes);
}

// Takes a frame of `size` bytes, without its 00: the header is in frame[1] then, and the payload, of
// size - overheadBytes + 1 bytes, behind it. False: it is damaged.
inline bool decode(uint8_t* frame, uint8_t size) {
  return size >= codeBytes + headerBytes + crcBytes && unstuff(frame, size) &&
         crc16(frame + 1, size - codeBytes) == crcOfGoodFrame;
}

}  // namespace leadscomm

#endif
