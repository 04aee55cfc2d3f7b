// What an echo costs without any library: the measure for the others.

void setup() { Serial.begin(115200); }

void loop() {
  while (Serial.available()) Serial.write(Serial.read());
}
