// Control frames and the handshake: the numbers of docs/wire-protocol.md, "Control frames".

#ifndef LEADSCOMM_HANDSHAKE_H
#define LEADSCOMM_HANDSHAKE_H

#include <stdint.h>

namespace leadscomm {

// Headers: the kind in the two highest bits, the number or name in the next three, the acknowledgement in the last
// three.
struct Header {
  enum Kind : uint8_t { Datagram = 0x00, Data = 0x40, More = 0x80, Control = 0xC0 };
  static const uint8_t nameBits = 0xF8;
  static const uint8_t numberBits = 0x38;
  static const uint8_t ackBits = 0x07;
};

struct Control {
  enum Name : uint8_t { Ack = 0xC0, Hello = 0xC8, Welcome = 0xD0, Refuse = 0xD8, Bye = 0xE0, Ping = 0xE8 };
  static const uint8_t nameBits = 0xF8;
};

enum class Reason : uint8_t { NoSession = 1, Version = 2, Profile = 3, FrameTooLong = 4, MessageTooLong = 5 };

static const uint8_t epochBytes = 4;

// Where the fields of HELLO and WELCOME are, behind the header.
struct Handshake {
  enum Field : uint8_t {
    Version = 0,
    Profiles = 1,
    Epoch = 2,
    Echo = 6,
    Segment = 10,
    Longest = 12,
    Resend = 14,
    Window = 16,
    Credit = 17,
    TagSize = 18,
    Tag = 19
  };
  static const uint8_t version = 1;
  static const uint8_t compact = 1;
};

}  // namespace leadscomm

#endif
