// Sends 16 bytes of telemetry as often as the line takes them.

#include <LeadsComm.h>

#ifndef TELEMETRY_BAUD
#define TELEMETRY_BAUD 115200
#endif

leadscomm::DatagramConnection<> host(Serial);
uint32_t values[4];

void setup() { Serial.begin(TELEMETRY_BAUD); }

void loop() {
  ++values[0];
  while (host.send(values, sizeof values) != leadscomm::Status::Sent) {
  }
}
