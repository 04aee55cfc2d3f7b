// LEADS's text language: `tag:value;` telemetry, and a few orders.
#pragma once

#include <Arduino.h>
#include <LeadsComm.h>
#include <stdlib.h>
#include <string.h>

#include "pins.h"

/// Says `a0:512;` and so on of each analog input ten times a second, and obeys
///
///     report:500;   every 500 ms instead; 0: never
///     d13:1;        make pin 13 an output, and high
///     d7;           say `d7:0;`
///     a2;           say `a2:512;`
///
/// As LEADS's boards it says nothing to what it does not understand.
class Text {
 public:
  /// Carries out the order that came.
  template <class Host>
  void obey(Host &host) {
    const char *order = reinterpret_cast<const char *>(host.data());
    const char *value = strchr(order, ':');
    if (value && strncmp(order, "report:", 7) == 0) {
      period_ = static_cast<uint16_t>(atol(value + 1));
    } else if (order[1] >= '0' && order[1] <= '9') {
      const int pin = atoi(order + 1);
      if (order[0] == 'd' && value && usable(pin)) {
        put(pin, atoi(value + 1) != 0);
      } else if (order[0] == 'd' && !value && pin < NUM_DIGITAL_PINS) {
        say(host, 'd', pin, digitalRead(pin));
      } else if (order[0] == 'a' && !value && pin < NUM_ANALOG_INPUTS) {
        say(host, 'a', pin, analogRead(pin));
      }
    }
  }

  /// Reports one input when its turn has come.
  template <class Host>
  void report(Host &host) {
    if (next_ == NUM_ANALOG_INPUTS && (period_ == 0 || millis() - last_ < period_)) return;
    if (next_ == NUM_ANALOG_INPUTS) {
      next_ = 0;
      last_ = millis();
    }
    if (say(host, 'a', next_, analogRead(next_))) ++next_;
  }

 private:
  template <class Host>
  static bool say(Host &host, char kind, int pin, int value) {
    char text[12] = {kind};
    itoa(pin, text + 1, 10);
    strcat(text, ":");
    itoa(value, text + strlen(text), 10);
    return host.send(text, strlen(text)) != leadscomm::Status::Full;
  }

  uint16_t period_ = 100;
  uint32_t last_ = 0;
  uint8_t next_ = NUM_ANALOG_INPUTS;  // the input whose turn it is; NUM_ANALOG_INPUTS: a pause
};
