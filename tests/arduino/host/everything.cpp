// Every class and method once, so that the compiler looks at all of them. Compiled for an AVR, and with other
// compilers, sizes of int and standards of C++; never run.

#include <LeadsComm.h>

using namespace leadscomm;

template class leadscomm::BasicDatagramConnection<58, Stream, ArduinoPlatform>;
template class leadscomm::BasicConnection<58, Stream, ArduinoPlatform>;
template class leadscomm::BasicConnection<250, HardwareSerial, ArduinoPlatform>;
template class leadscomm::BasicReliableConnection<58, 2, Stream, 58, ArduinoPlatform, Having::text>;
template class leadscomm::BasicReliableConnection<32, 1, Stream, 58, ArduinoPlatform, 0>;
template class leadscomm::BasicReliableConnection<58, 2, Stream, 58, ArduinoPlatform, Having::lean>;
template class leadscomm::BasicReliableConnection<250, 4, HardwareSerial, 65535, ArduinoPlatform, Having::text>;
template class leadscomm::BasicTextConnection<58, Stream, ArduinoPlatform>;
template class leadscomm::WaitingPort<Stream>;
template class leadscomm::Assembler<400>;

ReliableConnection<58, 2, Stream, 400> host(Serial, "wsc");
WaitingPort<Stream> waiting(Serial);
LeanReliableConnection<58, 2, WaitingPort<Stream>> lean(waiting, "wsc");
Assembler<400> whole;
LongMessage report;
Client<decltype(host)> client = makeClient(host);

void setup() { Serial.begin(115200); }

void loop() {
  client.poll();
  uint8_t space[40];
  int16_t numbers[] = {1, 2};
  float volts[2];
  uint64_t large = 0;
  Writer out(space, sizeof space);
  out.u8(1).i8(1).u16(1).i16(1).u32(1).i32(1).u64(large).i64(1).f32(1).array(numbers, 2).bytes(numbers, 2);
  Reader in(out.data(), out.size());
  in.u64(large).array(volts, 2);
  lean.sendDatagram(out.data(), out.size());
  if (host.poll() && whole.add(host)) report.begin(whole.data(), whole.size());
  report.sendTo(host);
  if (!in.ok()) host.bye();
}
