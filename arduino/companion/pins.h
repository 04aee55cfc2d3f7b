// What the pins of this board can do.
#pragma once

#include <Arduino.h>

#include "servos.h"

/// Whether there is such a pin, and it is not one of the line to the host.
inline bool usable(int pin) { return pin >= 2 && pin < NUM_DIGITAL_PINS; }

/// Sets a pin's level and makes it an output; in this order, so that it is never at the other level.
inline void put(uint8_t pin, bool level) {
  servos.release(pin);
  digitalWrite(pin, level ? HIGH : LOW);
  pinMode(pin, OUTPUT);
}
