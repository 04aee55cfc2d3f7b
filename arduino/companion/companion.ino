// The companion firmware of leadscomm: it answers to its tag, reports pins, sets pins, PWM and servos, echoes, and tells
// how it is. What it is told and answers, byte for byte: docs/boards.md. In LEADS text language it reports its analog
// inputs as LEADS's boards do.
//
// To add orders of your own, add a case to obey(); the numbers 00 to 7f are yours.

#include <LeadsComm.h>

#include "messages.h"
#include "pins.h"
#include "reports.h"
#include "servos.h"
#include "tag.h"
#include "text.h"

#ifndef BAUD
#define BAUD 115200
#endif

using Host = leadscomm::ReliableConnection<58, 2, decltype(Serial)>;

Tag tag;
Host host(Serial, tag.text());
Reports reports;
Text text;

void setup() {
  tag.load();
  Serial.begin(BAUD);
}

void loop() {
  static uint32_t session = 0;
  if (host.poll()) {
    if (host.text()) {
      text.obey(host);
    } else {
      answer();
    }
  }
  if (session != host.session()) {  // another host, or the same one anew: it orders its reports itself
    session = host.session();
    reports.clear();
  }
  if (host.text()) {
    text.report(host);
  } else {
    reports.report(host);
  }
}

// Orders --------------------------------------------------------------------------------------------------------------

/// Carries out the order that came, and answers it. There is room for the answer: otherwise poll() takes no message.
void answer() {
  if (!host.reliable() || host.more() || host.size() < 2) return;  // no order
  uint8_t space[58];
  leadscomm::Writer out(space, sizeof space);
  const Status status = obey(host.data()[0], out);
  if (out.size() == 0) {
    const Answer plain = {host.data()[1], static_cast<uint8_t>(status)};
    plain.write(out);
  }
  host.send(out.data(), out.size());
}

/// Carries out an order. One that asks for something writes its whole answer.
Status obey(uint8_t number, leadscomm::Writer &out) {
  switch (number) {
    case Info::NUMBER: return inform(out);
    case Echo::NUMBER: return echo(out);
    case Counters::NUMBER: return count(out);
    case SetTag::NUMBER: return setTag();
    case SetReport::NUMBER: return setReport();
    case SetMode::NUMBER: return setMode();
    case Write::NUMBER: return write();
    case Read::NUMBER: return read(out);
    case ReadAnalog::NUMBER: return readAnalog(out);
    case SetPwm::NUMBER: return setPwm();
    case SetServo::NUMBER: return setServo();
    default: return Status::UnknownOrder;
  }
}

#if defined(__AVR_ATmega328P__)
#define CHIP "atmega328p"
#elif defined(__AVR_ATmega2560__)
#define CHIP "atmega2560"
#elif defined(__AVR_ATmega32U4__)
#define CHIP "atmega32u4"
#else
#define CHIP "unknown"
#endif

/// Bytes between the variables and the stack; there is no heap.
uint16_t freeRam() {
#ifdef __AVR__
  extern char __heap_start;
  char top;
  return &top - &__heap_start;
#else
  return 0;
#endif
}

Status inform(leadscomm::Writer &out) {
  Info order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  InfoAnswer answer = {order.request, 0, 1, 0, millis(), freeRam(), NUM_DIGITAL_PINS, NUM_ANALOG_INPUTS, CHIP};
  answer.write(out);
  return Status::Ok;
}

Status echo(leadscomm::Writer &out) {
  Echo order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  EchoAnswer answer = {order.request, 0, order.data_count, {}};
  memcpy(answer.data, order.data, order.data_count);
  answer.write(out);
  return Status::Ok;
}

Status count(leadscomm::Writer &out) {
  Counters order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  const leadscomm::Counters seen = host.counters();
  CountersAnswer answer = {order.request, 0, seen.bad, seen.full, seen.resent, seen.lost, reports.leftOut()};
  answer.write(out);
  return Status::Ok;
}

Status setTag() {
  SetTag order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  return tag.store(order.tag) ? Status::Ok : Status::BadValue;
}

Status setReport() {
  SetReport order;
  return leadscomm::read(host, order) ? reports.set(order) : Status::BadLength;
}

Status setMode() {
  SetMode order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (!usable(order.pin)) return Status::BadPin;
  if (order.mode > static_cast<uint8_t>(Mode::Output)) return Status::BadValue;
  servos.release(order.pin);
  const bool pullup = order.mode == static_cast<uint8_t>(Mode::Pullup);
  pinMode(order.pin, pullup ? INPUT_PULLUP : order.mode == static_cast<uint8_t>(Mode::Output) ? OUTPUT : INPUT);
  return Status::Ok;
}

Status write() {
  Write order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (!usable(order.pin)) return Status::BadPin;
  put(order.pin, order.level);
  return Status::Ok;
}

Status read(leadscomm::Writer &out) {
  Read order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (order.pin >= NUM_DIGITAL_PINS) return Status::BadPin;
  LevelAnswer answer = {order.request, 0, digitalRead(order.pin) == HIGH};
  answer.write(out);
  return Status::Ok;
}

Status readAnalog(leadscomm::Writer &out) {
  ReadAnalog order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (order.channel >= NUM_ANALOG_INPUTS) return Status::BadPin;
  AnalogAnswer answer = {order.request, 0, static_cast<uint16_t>(analogRead(order.channel))};
  answer.write(out);
  return Status::Ok;
}

Status setPwm() {
  SetPwm order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (!usable(order.pin) || !digitalPinHasPWM(order.pin)) return Status::BadPin;
  servos.release(order.pin);
  if (servos.uses(order.pin)) return Status::Busy;
  analogWrite(order.pin, order.duty);
  return Status::Ok;
}

Status setServo() {
  SetServo order;
  if (!leadscomm::read(host, order)) return Status::BadLength;
  if (!usable(order.pin)) return Status::BadPin;
  if (order.width == 0) {
    servos.release(order.pin);
    return Status::Ok;
  }
  if (order.width < 500 || order.width > 2500) return Status::BadValue;
  return servos.set(order.pin, order.width) ? Status::Ok : Status::Busy;
}
