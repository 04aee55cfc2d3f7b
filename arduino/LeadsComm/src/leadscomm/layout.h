// Messages of a declared layout, in headers that `python -m leadscomm.hardware.header` writes:
//
//   Imu imu = {millis(), heading};
//   leadscomm::send(host, imu);
//
//   SetSpeed order;
//   if (host.poll() && leadscomm::read(host, order)) drive(order.speed);

#ifndef LEADSCOMM_LAYOUT_H
#define LEADSCOMM_LAYOUT_H

#include "pack.h"
#include "status.h"

namespace leadscomm {

// Sends a message over any connection of the library.
template <class Connection, class Message>
Status send(Connection& host, const Message& message) {
  uint8_t space[Message::LONGEST];
  Writer out(space, sizeof space);
  return message.write(out) ? host.send(out.data(), out.size()) : Status::TooLong;
}

// Takes the values of the message that poll() found; false if it is no such message.
template <class Connection, class Message>
bool read(const Connection& host, Message& message) {
  Reader in(host.data(), host.size());
  return message.read(in);
}

}  // namespace leadscomm

#endif
