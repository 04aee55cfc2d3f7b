// How long poll() and send() take at worst while the host takes nothing: each call lies between two marks.

#include <LeadsComm.h>

leadscomm::ReliableConnection<> host(Serial, "stalled");
uint8_t message[58];

void setup() { Serial.begin(115200); }

void loop() {
  GPIOR0 = 1;
  host.poll();
  GPIOR0 = 2;
  if (!host.connected()) return;
  GPIOR0 = 3;
  host.send(message, sizeof message);
  GPIOR0 = 4;
}
