// Tells the time and the voltage at A0 fifty times a second, and lets the computer switch the LED.
// On the computer: create_client("serial://auto?identity=wsc&baud=115200&framing=board")

#include <LeadsComm.h>

leadscomm::Connection<> host(Serial, "wsc");
uint8_t message[8];
uint32_t last;

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
}

void loop() {
  if (host.poll()) {
    leadscomm::Reader order(host.data(), host.size());
    uint8_t level = order.u8();
    if (order.ok()) digitalWrite(LED_BUILTIN, level);
  }
  if (millis() - last < 20) return;
  last += 20;
  leadscomm::Writer report(message, sizeof message);
  report.u32(last).f32(analogRead(A0) * 5.0f / 1023);
  host.send(report.data(), report.size());  // what has no room, or nobody who hears it, is left out
}
