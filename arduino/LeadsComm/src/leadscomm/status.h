// What the library says about itself: results of sending, and counters.

#ifndef LEADSCOMM_STATUS_H
#define LEADSCOMM_STATUS_H

#include <stdint.h>

namespace leadscomm {

// The result of a send. None of them blocks, throws or loses anything but what it names.
enum class Status : uint8_t {
  Sent,          // written, or kept until it is acknowledged
  Full,          // no room at present: poll(), and try again
  TooLong,       // longer than this side's Payload, or than the other side takes
  NotConnected,  // nobody has been heard, or he has left
  NotText,       // LEADS text cannot carry a ';'
  Lost           // told by Client alone: a session ended, and nobody knows whether its last messages arrived
};

// Counted since the start, and from 65,535 on again from 0.
struct Counters {
  uint16_t bad;     // frames that were damaged or too long
  uint16_t full;    // times that the receive ring was found full: bytes may be missing
  uint16_t resent;  // frames sent more than once
  uint16_t lost;    // messages not acknowledged when their session ended
};

}  // namespace leadscomm

#endif
