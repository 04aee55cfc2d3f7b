// The codec alone, for streams of any length:
//   codec recode              takes frames from standard input, and writes each good one again to standard output
//   codec damage N SEED KIND  writes N damaged frames, each behind a 00; KIND: bit, bits, drop or double
// The payloads of damaged frames end with a CRC-32 of the rest (least significant byte first), so that whoever reads
// them finds out whether a wrong one got through. At its end "recode" says on standard error how many were good, and
// bad.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "board.h"
#include "leadscomm/datagram.h"

using namespace leadscomm;

namespace {

typedef HandTurned<> Platform;

class Recoder : public Wire<Recoder, 250, MemoryPort, Platform>, private TextState<false> {
  typedef Wire<Recoder, 250, MemoryPort, Platform> Base;
  friend Base;

 public:
  explicit Recoder(MemoryPort& port) : Base(port) {}
  unsigned long good = 0;

 private:
  bool onFrame(uint8_t header, uint8_t size) {
    ++good;
    uint8_t frame[255];
    encode(frame, header, received_ + payloadAt, size);
    outlet_.port().write(frame, size + overheadBytes);
    return false;
  }

  uint8_t received_[Base::receivedBytes + 1];
};

int recode() {
  static char chunk[1 << 16];
  MemoryPort port;
  Recoder recoder(port);
  unsigned long bad = 0;
  for (size_t size; (size = fread(chunk, 1, sizeof chunk, stdin)) > 0;) {
    uint16_t before = recoder.counters().bad;
    port.feed(chunk, size);
    port.room = 1 << 30;
    while (port.available()) recoder.poll();
    bad += uint16_t(recoder.counters().bad - before);
    fwrite(port.out.data(), 1, port.out.size(), stdout);
    port.out.clear();
  }
  fprintf(stderr, "%lu %lu\n", recoder.good, bad);
  return 0;
}

struct Random {
  uint64_t state;
  uint32_t operator()(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t((state >> 32) * below >> 32);
  }
};

uint32_t crc32(const uint8_t* data, size_t size) {
  uint32_t crc = 0xFFFFFFFF;
  for (; size; --size) {
    crc ^= *data++;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

int damage(unsigned long count, uint64_t seed, const std::string& kind) {
  Random random = {seed * 2654435761u + 1};
  for (; count; --count) {
    uint8_t payload[64];
    uint8_t size = uint8_t(4 + random(55));
    for (uint8_t at = 0; at < size - 4; ++at) payload[at] = uint8_t(random(256));
    uint32_t check = crc32(payload, size - 4u);
    for (uint8_t at = 0; at < 4; ++at) payload[size - 4 + at] = uint8_t(check >> 8 * at);
    uint8_t frame[80];
    encode(frame, uint8_t(random(256)), payload, size);
    std::string wire(reinterpret_cast<char*>(frame), size + overheadBytes);
    uint32_t place = random(uint32_t(wire.size()));
    if (kind == "drop") {
      wire.erase(place, 1);
    } else if (kind == "double") {
      if (place + 1u == wire.size()) place = 0;  // a second 00 is no damage
      wire.insert(place, 1, wire[place]);
    } else {
      uint32_t first = random(uint32_t(wire.size() * 8));
      uint32_t second = random(uint32_t(wire.size() * 8 - 1));
      wire[first / 8] = char(wire[first / 8] ^ 1 << first % 8);
      if (kind == "bits") second += second >= first, wire[second / 8] = char(wire[second / 8] ^ 1 << second % 8);
    }
    putchar(0);
    fwrite(wire.data(), 1, wire.size(), stdout);
  }
  putchar(0);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  std::string what = count > 1 ? words[1] : "";
  if (what == "recode") return recode();
  if (what == "damage" && count == 5) return damage(strtoul(words[2], nullptr, 10), uint64_t(atoll(words[3])), words[4]);
  fprintf(stderr, "codec recode | damage N SEED bit|bits|drop|double\n");
  return 2;
}
