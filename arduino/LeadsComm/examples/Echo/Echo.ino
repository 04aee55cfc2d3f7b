// Sends each datagram back. The smallest sketch of the library.
// On the computer: create_client("serial:///dev/ttyACM0?baud=115200&framing=board")

#include <LeadsComm.h>

leadscomm::DatagramConnection<58, decltype(Serial)> host(Serial);  // of 58 bytes; <> takes any Stream, and more flash

void setup() { Serial.begin(115200); }

void loop() {
  if (host.poll()) host.send(host.data(), host.size());
}
