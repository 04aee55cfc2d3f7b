// A LEADS board: says who it is when asked "ic;", reports "tpd:<value>;", and does what "led:1;" and "led:0;" say.
// On the computer: create_client("serial://auto?identity=wsc&baud=115200"), LEADS itself, or a terminal

#include <LeadsComm.h>

leadscomm::TextConnection<> host(Serial, "wsc");
uint32_t last;

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
}

void loop() {
  if (host.poll()) {
    const char* text = reinterpret_cast<const char*>(host.data());
    if (strncmp(text, "led:", 4) == 0) digitalWrite(LED_BUILTIN, text[4] == '1');
  }
  if (millis() - last < 100) return;
  last += 100;
  char report[12];
  snprintf(report, sizeof report, "tpd:%d", analogRead(A0));
  host.send(report, strlen(report));
}
