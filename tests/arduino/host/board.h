// What stands for the board on a computer: a port of two strings, and a clock that is turned by hand.

#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

#include <string>

struct MemoryPort {
  std::string in;       // what the host sent
  size_t taken = 0;     // how much of it was read
  std::string out;      // what was written
  size_t room = 1 << 20;  // how much may be written
  size_t writes = 0;

  int available() { return int(in.size() - taken); }
  int read() { return taken < in.size() ? uint8_t(in[taken++]) : -1; }
  int availableForWrite() { return int(room); }

  size_t write(const uint8_t* data, size_t size) {
    if (size > room) size = room;
    out.append(reinterpret_cast<const char*>(data), size);
    room -= size;
    ++writes;
    return size;
  }

  void feed(const char* data, size_t size) {
    in.erase(0, taken);
    taken = 0;
    in.append(data, size);
  }
};

// `Ring`: what available() says of a full ring; 0: never full. `Whole`: the longest payload that the port takes at
// once.
template <int Ring = 0, size_t Whole = 58>
struct HandTurned {
  static constexpr int receiveRing(const void*) { return Ring; }
  static const size_t wholeFrames = Whole;
  static uint16_t time;
  static uint16_t salt;
  static uint16_t now() { return time; }
  static uint8_t noise() { return uint8_t(salt); }
};
template <int Ring, size_t Whole>
uint16_t HandTurned<Ring, Whole>::time = 0;
template <int Ring, size_t Whole>
uint16_t HandTurned<Ring, Whole>::salt = 0x1234;

#endif
