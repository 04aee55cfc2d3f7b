// Messages between a board and a computer. The other side is the Python package leadscomm; docs/arduino-library.md has
// the reference, docs/wire-protocol.md what is on the wire.
//
//   leadscomm::ReliableConnection<> host(Serial, "wsc");  // each message once and in order; "wsc" is its name
//   leadscomm::Connection<> host(Serial, "wsc");          // messages may be lost; both of these take LEADS text, too
//   leadscomm::DatagramConnection<> host(Serial);         // the smallest: no name, no text
//   leadscomm::TextConnection<> host(Serial, "wsc");      // LEADS text alone
//
//   void loop() {
//     if (host.poll())                                    // in every loop: takes what came; true: a message
//       host.send(host.data(), host.size());              // Sent, Full (poll, and try again), TooLong, NotConnected
//   }                                                     // nothing waits, and nothing needs a heap
//
//   host.connected()  host.session()  host.counters()     // is the host there, which one, and what went wrong
//   host.sendDatagram(data, size)  host.idle()  host.waiting()  host.later()  host.bye()  // reliable ones alone
//   leadscomm::Writer, Reader: numbers in messages; Assembler, LongMessage: messages of any length; makeClient: callbacks
//   <58, 2, decltype(Serial)>: the longest payload, the window, and the port's own class, which is smaller than Stream
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
  // What available() says of a full ring, and the longest payload whose frame write() takes whole. USB, which is Serial
  // on a Leonardo, stops its host instead of losing bytes.
  static constexpr int receiveRing(const HardwareSerial*) { return SERIAL_RX_BUFFER_SIZE - 1; }
#ifdef USBCON
  static constexpr int receiveRing(const void*) { return 0; }
#else
  static constexpr int receiveRing(const void*) { return SERIAL_RX_BUFFER_SIZE - 1; }
#endif
  static const size_t wholeFrames = SERIAL_TX_BUFFER_SIZE - 1 - overheadBytes;
#else
  static constexpr int receiveRing(const void*) { return 0; }  // large, or not known
  static const size_t wholeFrames = 0;                         // not known, but there is RAM for a frame
#endif

  static uint16_t now() { return uint16_t(millis()); }

  // A number that differs between two starts of the board, as far as the time does at which the host is heard first; on
  // an AVR the 4 µs of its timer.
  static uint8_t noise() {
#if defined(__AVR__) && defined(TCNT0)
    return TCNT0;
#else
    return uint8_t(micros());
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
using ReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, Having::text>;

// The same without LEADS text.
template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using FramedReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, 0>;

// The least flash: without LEADS text, and for hosts like ours alone. It takes for granted that its host takes frames as
// long as its own, tells no credit, and speaks this profile; and it leaves a host that has forgotten the
// session by his silence or his next HELLO, not by his REFUSE.
template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using LeanReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, Having::lean>;

// LEADS text alone.
template <size_t Payload = 58, class Port = Stream>
using TextConnection = BasicTextConnection<Payload, Port, ArduinoPlatform>;

}  // namespace leadscomm

#endif
