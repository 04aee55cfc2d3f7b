#include <LeadsComm.h>

leadscomm::ReliableConnection<> host(Serial, "wsc");

void setup() { Serial.begin(115200); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
