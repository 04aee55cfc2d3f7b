// Sends each message back; every one arrives once and in order, or its loss is reported.
// On the computer: create_client("serial://auto?identity=wsc&baud=115200&reliable=1")

#include <LeadsComm.h>

leadscomm::LeanReliableConnection<> host(Serial, "wsc");  // ReliableConnection understands LEADS text, too

void setup() { Serial.begin(115200); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
