// Sends each message back; every one arrives once and in order, or its loss is reported.
// On the computer: create_client("serial://auto?identity=wsc&baud=115200&reliable=1")

#include <LeadsComm.h>

// Messages of 58 bytes, two under way, this port; <> takes any Stream. ReliableConnection understands LEADS text, too,
// and agrees with any host.
leadscomm::LeanReliableConnection<58, 2, decltype(Serial)> host(Serial, "wsc");

void setup() { Serial.begin(115200); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
