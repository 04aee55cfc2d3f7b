// The example Reliable at another baud rate.
#include <LeadsComm.h>

#ifndef ECHO_BAUD
#define ECHO_BAUD 1000000
#endif

leadscomm::LeanReliableConnection<> host(Serial, "wsc");

void setup() { Serial.begin(ECHO_BAUD); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
