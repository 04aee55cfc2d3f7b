// What the pins of this board can do.
#pragma once

#include <Arduino.h>

#include "servos.h"

/// The line to the host has the pins 0 and 1, where it is not USB.
#ifdef USBCON
constexpr int FIRST_PIN = 0;
#else
constexpr int FIRST_PIN = 2;
#endif

/// Whether there is such a pin, and it is not one of the line to the host.
inline bool usable(int pin) { return pin >= FIRST_PIN && pin < NUM_DIGITAL_PINS; }

/// Sets a pin's level and makes it an output; in this order, so that it is never at the other level.
inline void put(uint8_t pin, bool level) {
  servos.release(pin);
  digitalWrite(pin, level ? HIGH : LOW);
  pinMode(pin, OUTPUT);
}
