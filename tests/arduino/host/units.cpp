// Packing, pieces, ports and callbacks, each looked at alone. Ends with 1 at the first thing that is not as it should
// be.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "board.h"
#include "leadscomm/client.h"
#include "leadscomm/connection.h"
#include "leadscomm/pack.h"
#include "leadscomm/pieces.h"
#include "leadscomm/ports.h"
#include "leadscomm/reliable.h"

using namespace leadscomm;

#define CHECK(what)                                                \
  do {                                                             \
    if (!(what)) {                                                 \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);   \
      exit(1);                                                     \
    }                                                              \
  } while (false)

namespace {

typedef HandTurned<> Platform;
typedef BasicReliableConnection<58, 2, MemoryPort, 200, Platform, Having::text> Reliable;

std::string frame(uint8_t header, const std::string& payload) {
  uint8_t wire[64];
  encode(wire, header, reinterpret_cast<const uint8_t*>(payload.data()), uint8_t(payload.size()));
  return std::string(reinterpret_cast<char*>(wire), payload.size() + overheadBytes);
}

std::string written(uint8_t header, const std::string& payload) {  // with the 00 in front
  return std::string(1, '\0') + frame(header, payload);
}

std::string hello(char epoch) {
  const char fields[] = {1, 1, epoch, 0, 0, 0, 0, 0, 0, 0, 0, 4, char(255), char(255), 100, 0, 7, 0, 0};
  return frame(Control::Hello, std::string(fields, sizeof fields));
}

template <class Board>
bool hear(Board& board, MemoryPort& port, const std::string& wire) {
  port.feed(wire.data(), wire.size());
  port.out.clear();
  return board.poll();
}

void packing() {
  uint8_t space[40];
  int16_t numbers[] = {-2, 0x1234};
  Writer out(space, sizeof space);
  out.u8(1).i8(-1).u16(0x0203).i32(-2).u64(0x0102030405060708).f32(1.5f).f64(-0.5).array(numbers, 2).bytes("ab", 2);
  const uint8_t wanted[] = {1, 255, 3, 2, 254, 255, 255, 255, 8, 7, 6,    5,    4,    3,   2,   1, 0, 0,
                            192, 63, 0, 0, 0,   0,   0,   0,   224, 191, 254, 255, 0x34, 0x12, 'a', 'b'};
  CHECK(out.ok() && out.size() == sizeof wanted && memcmp(out.data(), wanted, sizeof wanted) == 0);

  Reader in(wanted, sizeof wanted);
  uint8_t small = 0;
  int16_t back[2] = {0, 0};
  float single = 0;
  double twice = 0;
  char text[2];
  CHECK(in.u8(small).i8() == -1 && small == 1 && in.u16() == 0x0203 && in.i32() == -2);
  CHECK(in.u64() == 0x0102030405060708 && in.f32(single).f64(twice).ok() && single == 1.5f && twice == -0.5);
  CHECK(in.array(back, 2).bytes(text, 2).ok() && back[0] == -2 && back[1] == 0x1234 && text[1] == 'b');
  CHECK(in.left() == 0);
}

void packingBeyondTheEnd() {
  uint8_t space[6] = {9, 9, 9, 9, 9, 9};
  Writer out(space, 5);
  out.u32(0).u16(7);
  CHECK(!out.ok() && out.size() == 4 && space[4] == 9);
  out.u8(7);
  CHECK(out.size() == 4 && space[4] == 9);  // a hole would shift all that follows
  uint64_t many[2] = {0, 0};
  CHECK(!Writer(space, 6).array(many, size_t(-1) / 8 + 2).ok() && !Writer(space, 6).bytes(space, 7).ok());

  Reader in(space, 3);
  uint32_t number = 5;
  CHECK(in.u32(number).left() == 3 && number == 5 && !in.ok() && in.u8() == 0 && in.left() == 3);
  Reader array(space, 6);
  CHECK(!array.array(many, size_t(-1) / 8 + 2).ok() && !Reader(space, 0).bytes(many, 1).ok() && Reader(space, 0).ok());
}

void assembling() {
  MemoryPort port;
  Reliable board(port, "wsc");
  Assembler<100> whole;
  hear(board, port, hello(1));
  CHECK(port.out.find(std::string("\x3a") + "\2\xc8\2") != std::string::npos);  // longest is 200
  CHECK(hear(board, port, frame(0x80, std::string(58, 'a'))) && !whole.add(board));
  CHECK(hear(board, port, frame(0x02, "datagram")) && !whole.add(board));
  CHECK(hear(board, port, frame(0x48, "b")) && whole.add(board));
  CHECK(whole.size() == 59 && whole.data()[0] == 'a' && whole.data()[58] == 'b');
  CHECK(hear(board, port, frame(0x50, "")) && whole.add(board) && whole.size() == 0);

  CHECK(hear(board, port, frame(0x98, std::string(58, 'c'))) && !whole.add(board));  // too long: dropped, and said once
  CHECK(hear(board, port, frame(0xA0, std::string(58, 'c'))) && !whole.add(board));
  CHECK(port.out.find(frame(Control::Refuse, std::string("\5\x64\0", 3))) != std::string::npos);
  CHECK(hear(board, port, frame(0x68, std::string(58, 'c'))) && !whole.add(board));
  CHECK(port.out.find("\5\x64") == std::string::npos);
  CHECK(hear(board, port, frame(0x70, "next")) && whole.add(board) && whole.size() == 4);

  CHECK(hear(board, port, frame(0xB8, "half of an old")) && !whole.add(board));
  hear(board, port, hello(2));
  CHECK(hear(board, port, frame(0x40, "new")) && whole.add(board) && whole.size() == 3);  // nothing of the old one
}

void longMessages() {
  MemoryPort port;
  Reliable board(port, "wsc");
  LongMessage message;
  std::string text(130, 'x');
  CHECK(message.sendTo(board) == Status::Sent);  // there is none
  CHECK(message.begin(text.data(), text.size()) && !message.begin("another", 7));
  CHECK(message.sendTo(board) == Status::NotConnected && !message.busy());
  hear(board, port, hello(1));
  CHECK(message.begin(text.data(), text.size()) && message.sendTo(board) == Status::Full && message.busy());
  CHECK(port.out.find(written(0x80, text.substr(0, 58)) + written(0x88, text.substr(58, 58))) != std::string::npos);
  hear(board, port, frame(Control::Ack | 2, ""));
  CHECK(message.sendTo(board) == Status::Sent && !message.busy());
  CHECK(port.out == written(0x50, text.substr(116)));
  CHECK(message.begin(text.data(), text.size()) && message.sendTo(board) == Status::Full);
  hear(board, port, hello(2));
  CHECK(message.sendTo(board) == Status::NotConnected && !message.busy());  // its beginning is lost
}

struct Events {
  static std::string all;
  static void connected() { all += "+"; }
  static void received(const uint8_t* data, size_t size) { all.append(reinterpret_cast<const char*>(data), size); }
  static void left() { all += "-"; }
  static void failed(Status why) { all += why == Status::Lost ? "!" : "?"; }
};
std::string Events::all;

void callbacks() {
  MemoryPort port;
  Reliable board(port, "wsc");
  Client<Reliable> client = makeClient(board);
  client.poll();  // without any callback
  client.onConnect = Events::connected;
  client.onReceive = Events::received;
  client.onDisconnect = Events::left;
  client.onFail = Events::failed;
  std::string wire = hello(1) + frame(0x40, "one");
  port.feed(wire.data(), wire.size());
  client.poll();
  CHECK(client.send("x", 1) == Status::Sent);
  wire = hello(2) + frame(0x40, "two");
  port.feed(wire.data(), wire.size());
  client.poll();
  wire = frame(Control::Bye, "");
  port.feed(wire.data(), wire.size());
  client.poll();
  client.poll();
  CHECK(Events::all == "+one-!+two-");
}

struct Quiet {  // a Wi-Fi client of a core whose Print::availableForWrite() is the default
  MemoryPort memory;
  int available() { return memory.available(); }
  int read() { return memory.read(); }
  size_t write(const uint8_t* data, size_t size) { return memory.write(data, size); }
};

struct Udp {
  std::string in, out, packet;
  int sent = 0, port = 0;
  size_t taken = 0;
  bool works = true;
  int available() { return int(in.size() - taken); }
  int parsePacket() {
    in.swap(packet);
    packet.clear();
    taken = 0;
    if (!in.empty()) port = 7;
    return int(in.size());
  }
  int read() { return uint8_t(in[taken++]); }
  int remoteIP() { return 0x7F000001; }
  int remotePort() { return port; }
  int beginPacket(int, int) { return works; }
  size_t write(const uint8_t* data, size_t size) { return out.append(reinterpret_cast<const char*>(data), size), size; }
  int endPacket() { return ++sent, 1; }
};

void ports() {
  Quiet quiet;
  WaitingPort<Quiet> waiting(quiet);
  BasicDatagramConnection<58, WaitingPort<Quiet>, Platform> patient(waiting);
  quiet.memory.in = frame(0, "one");
  CHECK(patient.poll() && patient.send("two", 3) == Status::Sent);
  CHECK(quiet.memory.out == written(0, "two") && quiet.memory.writes == 1);

  Udp udp;
  UdpPort<Udp> packets(udp);
  BasicDatagramConnection<58, UdpPort<Udp>, Platform> board(packets);
  CHECK(!board.poll() && board.send("nobody is there", 15) == Status::Full);
  udp.packet = frame(0, "one") + frame(0, "two");
  CHECK(board.poll() && board.size() == 3 && board.send("three", 5) == Status::Sent);
  CHECK(board.poll() && board.data()[1] == 'w' && !board.poll() && board.send("", 0) == Status::Sent);
  CHECK(udp.sent == 2 && udp.out == written(0, "three") + written(0, ""));
  udp.works = false;
  board.send("lost", 4);  // the network is down: nothing hangs
  CHECK(udp.sent == 2);
}

void frames() {
  uint8_t wire[255 + 1];
  uint8_t payload[longestPayload];
  for (size_t at = 0; at < sizeof payload; ++at) payload[at] = uint8_t(at + 1);
  encode(wire, 0xFF, payload, uint8_t(sizeof payload));
  CHECK(wire[254] == 0 && memchr(wire, 0, 254) == nullptr);
  CHECK(decode(wire, 254) && wire[1] == 0xFF && memcmp(wire + 2, payload, sizeof payload) == 0);
  uint8_t bad[] = {5, 1, 2};
  CHECK(!decode(bad, 3) && !decode(bad, 0));
}

}  // namespace

int main() {
  packing();
  packingBeyondTheEnd();
  assembling();
  longMessages();
  callbacks();
  ports();
  frames();
  return 0;
}
