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
  static const int receiveRing = 63;
  static const size_t wholeFrames = 58;
  static uint16_t now() { return uint16_t(millis()); }
  static uint32_t noise() { return millis() << 8 ^ TCNT0; }
};

template <size_t Payload = 58, class Port = Stream>
using DatagramConnection = BasicDatagramConnection<Payload, Port, ArduinoPlatform>;

template <size_t Payload = 58, class Port = Stream>
using Connection = BasicConnection<Payload, Port, ArduinoPlatform>;

template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using ReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, true>;

template <size_t Payload = 58, uint8_t Window = 2, class Port = Stream, size_t Longest = Payload>
using LeanReliableConnection = BasicReliableConnection<Payload, Window, Port, Longest, ArduinoPlatform, false>;

template <size_t Payload = 58, class Port = Stream>
using TextConnection = BasicTextConnection<Payload, Port, ArduinoPlatform>;

}  // namespace leadscomm

#endif
