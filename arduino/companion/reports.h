// Pins, reported again and again.
#pragma once

#include <Arduino.h>
#include <LeadsComm.h>

#include "messages.h"

/// The reports that the host has ordered.
class Reports {
 public:
  static constexpr uint8_t MOST = 4;

  /// Begins, changes or ends a report.
  Status set(const SetReport &order) {
    Place *place = find(order.report);
    if (order.period == 0) {
      if (place) place->order.period = 0;
      return Status::Ok;
    }
    if (!valid(order)) return Status::BadPin;
    if (!place) place = free();
    if (!place) return Status::Busy;
    place->order = order;
    place->last = millis();
    return Status::Ok;
  }

  void clear() {
    for (Place &place : places_) place.order.period = 0;
  }

  /// Sends what is due. What finds the line busy is left out: the next one is newer anyway.
  template <class Host>
  void report(Host &host) {
    for (Place &place : places_) {
      const uint32_t late = millis() - place.last;
      if (place.order.period == 0 || late < place.order.period) continue;
      place.last += late - late % place.order.period;
      if (!send(host, place.order)) ++left_out_;
    }
  }

  /// How many were left out since the start.
  uint16_t leftOut() const { return left_out_; }

 private:
  struct Place {
    SetReport order;  // a period of 0: the place is free
    uint32_t last;    // when it was due last
  };

  Place *find(uint8_t name) {
    for (Place &place : places_) {
      if (place.order.period != 0 && place.order.report == name) return &place;
    }
    return nullptr;
  }

  Place *free() {
    for (Place &place : places_) {
      if (place.order.period == 0) return &place;
    }
    return nullptr;
  }

  /// Whether the board has all of these pins.
  static bool valid(const SetReport &order) {
    if (NUM_ANALOG_INPUTS < 16 && order.analog >> NUM_ANALOG_INPUTS != 0) return false;
    for (uint8_t i = 0; i < order.digital_count; ++i) {
      for (uint8_t bit = 0; bit < 8; ++bit) {
        if (order.digital[i] >> bit & 1 && 8 * i + bit >= NUM_DIGITAL_PINS) return false;
      }
    }
    return true;
  }

  template <class Host>
  static bool send(Host &host, const SetReport &order) {
    Report report;
    report.report = order.report;
    report.time = micros();
    report.analog_count = 0;
    for (uint8_t channel = 0; channel < NUM_ANALOG_INPUTS && channel < 16; ++channel) {
      if (order.analog >> channel & 1) report.analog[report.analog_count++] = analogRead(channel);
    }
    report.digital_count = order.digital_count;
    for (uint8_t i = 0; i < order.digital_count; ++i) report.digital[i] = levels(order.digital[i], 8 * i);
    uint8_t space[Report::LONGEST];
    leadscomm::Writer out(space, sizeof space);
    report.write(out);
    return host.sendDatagram(out.data(), out.size()) == leadscomm::Status::Sent;
  }

  /// The levels of those of eight pins that were asked for.
  static uint8_t levels(uint8_t asked, uint8_t first) {
    uint8_t found = 0;
    for (uint8_t bit = 0; bit < 8; ++bit) {
      if (asked >> bit & 1 && digitalRead(first + bit) == HIGH) found |= 1 << bit;
    }
    return found;
  }

  Place places_[MOST] = {};
  uint16_t left_out_ = 0;
};
