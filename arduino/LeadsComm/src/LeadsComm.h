// Messages between a board and a computer. The other side is the Python package leadscomm; docs/arduino-library.md has
// the reference, docs/wire-protocol.md what is on the wire.
//
//   #include <LeadsComm.h>
//
//   leadscomm::ReliableConnection<> host(Serial, "wsc");
//
//   void setup() { Serial.begin(115200); }
//
//   void loop() {
//     if (host.poll()) host.send(host.data(), host.size());
//   }
//
// This is the only file that knows Arduino. All others are plain C++11, and are tested on a computer.

#ifndef LEADSCOMM_H
#define LEADSCOMM_H

#include <Arduino.h>

#include "leadscomm/client.h"
#include "leadscomm/connection.h"
#include "leadscomm/datagram.h"
#include "leadscomm/pack.h"
#include "leadscomm/pieces.h"
#include "leadscomm/ports.h"
#include "leadscomm/reliable.h"
#include "leadscomm/text.h"

namespace leadscomm {

struct ArduinoPlatform {
#if defined(__AVR__) && defined(SERIAL_RX_BUFFER_SIZE) && defined(SERIAL_TX_BUFFER_SIZE)
  // What available() says of a full ring, and the longest payload whose frame write() takes whole.
  static const int receiveRing = SERIAL_RX_BUFFER_SIZE - 1;
  static const size_t wholeFrames = SERIAL_TX_BUFFER_SIZE - 1 - overheadBytes;
#else
  static const int receiveRing = 0;     // large, or not known
  static const size_t wholeFrames = 0;  // not known, but there is RAM for a frame
#endif

  static uint16_t now() { return uint16_t(millis()); }

  // A number that differs between two starts of the board, as far as the time does at which the host is heard first:
  // milliseconds, and on an AVR the 4 µs of its timer.
  static uint16_t noise() {
#if defined(__AVR__) && defined(TCNT0)
    return uint16_t(uint16_t(millis()) << 8 | TCNT0);
#else
    return uint16_t(micros());
#endif
  }
};

// Datagrams alone: the smallest. No name, no LEADS text.
template <size_t Payload = 58, class Port = Stream>
using DatagramConnection = BasicDatagramConnection<Payload, Port, ArduinoPlatform>;

// Datagrams with a name, and LEADS text.
template <size_t Payload = 58, class Port = Stream>
using Connection = BasicConnection<Payload, Port, ArduinoPlatform>;

// Acknowledged delivery, datagrams, a name, and LEADS text. `Longest`: the longest message, from all its pieces.
template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using ReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, true>;

// The same without LEADS text: less flash.
template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using LeanReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, false>;

// LEADS text alone.
template <size_t Payload = 58, class Port = Stream>
using TextConnection = BasicTextConnection<Payload, Port, ArduinoPlatform>;

}  // namespace leadscomm

#endif
