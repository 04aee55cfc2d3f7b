#include <LeadsComm.h>

leadscomm::DatagramConnection<> host(Serial);

void setup() { Serial.begin(115200); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
