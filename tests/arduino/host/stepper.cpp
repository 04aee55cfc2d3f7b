// A board that is turned by hand: step by step it is told the time, what was received and what to send, and says what
// happened. Python drives it: tests/arduino/stepper.py has the other side of this dialogue, and describes it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "board.h"
#include "leadscomm/connection.h"
#include "leadscomm/reliable.h"
#include "leadscomm/text.h"

using namespace leadscomm;

namespace {

typedef HandTurned<63> Uno;
typedef HandTurned<0, 0> Buffered;

uint8_t byteIn() {
  int byte = getchar();
  if (byte == EOF) exit(0);
  return uint8_t(byte);
}

uint32_t numberIn(int bytes) {
  uint32_t number = 0;
  for (int at = 0; at < bytes; ++at) number |= uint32_t(byteIn()) << 8 * at;
  return number;
}

std::string bytesIn() {
  std::string bytes(numberIn(4), '\0');
  for (char& byte : bytes) byte = char(byteIn());
  return bytes;
}

void numberOut(std::string& to, uint32_t number, int bytes) {
  for (int at = 0; at < bytes; ++at) to += char(number >> 8 * at);
}

void bytesOut(std::string& to, const std::string& bytes) {
  numberOut(to, uint32_t(bytes.size()), 4);
  to += bytes;
}

// What only some connections can.
template <class Board>
Status sendMore(Board&, const std::string&, long) {
  return Status::TooLong;
}
template <class Board>
auto sendMore(Board& board, const std::string& data, int) -> decltype(board.send(data.data(), data.size(), true)) {
  return board.send(data.data(), data.size(), true);
}
template <class Board>
Status sendDatagram(Board&, const std::string&, long) {
  return Status::TooLong;
}
template <class Board>
auto sendDatagram(Board& board, const std::string& data, int) -> decltype(board.sendDatagram(data.data(), 0)) {
  return board.sendDatagram(data.data(), data.size());
}
template <class Board>
Status sendIdle(Board&, const std::string&, long) {
  return Status::TooLong;
}
template <class Board>
auto sendIdle(Board& board, const std::string& data, int) -> decltype(board.idle(), Status()) {
  return board.idle() ? board.send(data.data(), data.size()) : Status::Full;
}
template <class Board>
void later(Board&, long) {}
template <class Board>
auto later(Board& board, int) -> decltype(board.later()) {
  board.later();
}
template <class Board>
void bye(Board&, long) {}
template <class Board>
auto bye(Board& board, int) -> decltype(board.bye()) {
  board.bye();
}
template <class Board>
uint8_t flags(Board&, long) {
  return 0;
}
template <class Board>
auto flags(Board& board, int) -> decltype(uint8_t(board.more())) {
  return uint8_t(board.more() | board.reliable() << 1 | board.text() << 2);
}

template <class Board>
Status act(Board& board, char what, const std::string& data) {
  switch (what) {
    case 's':
      return board.send(data.data(), data.size());
    case 'm':
      return sendMore(board, data, 0);
    case 'd':
      return sendDatagram(board, data, 0);
    case 'i':
      return sendIdle(board, data, 0);
    case 'b':
      bye(board, 0);
      return Status::Sent;
  }
  exit(2);
}

template <class Board, class Platform>
void run(Board& board, MemoryPort& port) {
  for (;;) {
    Platform::time = uint16_t(numberIn(2));
    port.room = numberIn(4);
    uint8_t habits = byteIn();  // 1: echo; 2: refuse with later(); 4: one poll alone
    std::string in = bytesIn();
    port.feed(in.data(), in.size());
    std::string statuses;
    for (uint32_t acts = numberIn(1); acts; --acts) {
      char what = char(byteIn());
      statuses += char(act(board, what, bytesIn()));
    }
    std::string messages;
    uint32_t count = 0;
    bool again = true;
    while (again) {
      bool message = board.poll();
      again = (message || port.available()) && !(habits & 4);
      if (!message) continue;
      ++count;
      messages += char(flags(board, 0));
      bytesOut(messages, std::string(reinterpret_cast<const char*>(board.data()), board.size()));
      if (board.data()[board.size()] != 0) exit(3);
      if (habits & 1) statuses += char(board.send(board.data(), board.size()));
      if (habits & 2) later(board, 0);
    }
    std::string answer;
    bytesOut(answer, port.out);
    port.out.clear();
    bytesOut(answer, statuses);
    numberOut(answer, count, 4);
    answer += messages;
    answer += char(board.connected());
    numberOut(answer, board.session(), 4);
    Counters counters = board.counters();
    numberOut(answer, counters.bad, 2);
    numberOut(answer, counters.full, 2);
    numberOut(answer, counters.resent, 2);
    numberOut(answer, counters.lost, 2);
    fwrite(answer.data(), 1, answer.size(), stdout);
    fflush(stdout);
  }
}

template <class Board, class Platform>
void runNamed() {
  MemoryPort port;
  Board board(port, "wsc");
  run<Board, Platform>(board, port);
}

}  // namespace

int main(int count, char** words) {
  std::string kind = count > 1 ? words[1] : "";
  if (count > 2) Uno::salt = Buffered::salt = uint16_t(strtoul(words[2], nullptr, 0));
  if (kind == "reliable") runNamed<BasicReliableConnection<58, 2, MemoryPort, 58, Uno, Having::text>, Uno>();
  if (kind == "framed") runNamed<BasicReliableConnection<58, 4, MemoryPort, 1000, Uno, 0>, Uno>();
  if (kind == "lean") runNamed<BasicReliableConnection<58, 4, MemoryPort, 1000, Uno, Having::lean>, Uno>();
  if (kind == "buffered") runNamed<BasicReliableConnection<250, 4, MemoryPort, 65535, Buffered, Having::text>, Buffered>();
  if (kind == "named") runNamed<BasicConnection<58, MemoryPort, Uno>, Uno>();
  if (kind == "text") runNamed<BasicTextConnection<58, MemoryPort, Uno>, Uno>();
  if (kind == "datagram") {
    MemoryPort port;
    BasicDatagramConnection<58, MemoryPort, Uno> board(port);
    run<BasicDatagramConnection<58, MemoryPort, Uno>, Uno>(board, port);
  }
  fprintf(stderr, "stepper reliable|framed|lean|buffered|named|text|datagram [salt]\n");
  return 2;
}
