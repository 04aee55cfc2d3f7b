// The way out: frames and LEADS texts, written as far as the port has room, and never waited for.

#ifndef LEADSCOMM_OUTLET_H
#define LEADSCOMM_OUTLET_H

#include "frame.h"

namespace leadscomm {

// Without a buffer of its own: what does not fit whole into the port's is not taken. Costs no RAM, and is right where
// the port's buffer takes the longest frame.
template <size_t Longest, class Port, bool Buffered>
class Outlet {
 public:
  explicit Outlet(Port& port) : port_(port) {}

  Port& port() { return port_; }
  LEADSCOMM_WITHIN bool frees(uint8_t size) { return port_.availableForWrite() >= size; }
  void pump() {}

  LEADSCOMM_WITHIN bool writeFrame(uint8_t header, const uint8_t* payload, uint8_t size) {
    if (!frees(size + overheadBytes)) return false;
    uint8_t frame[Longest];
    encode(frame, header, payload, size);
    port_.write(frame, size + overheadBytes);
    return true;
  }

  bool writeText(const uint8_t* text, uint8_t size) {
    if (!frees(size + 1)) return false;
    uint8_t line[Longest];
    memcpy(line, text, size);
    line[size] = ';';
    port_.write(line, size + 1);
    return true;
  }

 private:
  Port& port_;
};

// With a buffer for one frame, which leaves piece by piece. Right for every port that ever has room.
template <size_t Longest, class Port>
class Outlet<Longest, Port, true> {
 public:
  explicit Outlet(Port& port) : port_(port), size_(0), written_(0) {}

  Port& port() { return port_; }

  void pump() {
    int room = written_ < size_ ? port_.availableForWrite() : 0;
    if (room <= 0) return;
    uint8_t left = size_ - written_;
    written_ += uint8_t(port_.write(buffer_ + written_, room < left ? uint8_t(room) : left));
  }

  LEADSCOMM_WITHIN bool writeFrame(uint8_t header, const uint8_t* payload, uint8_t size) {
    if (!empty()) return false;
    encode(buffer_, header, payload, size);
    return begin(size + overheadBytes);
  }

  bool writeText(const uint8_t* text, uint8_t size) {
    if (!empty()) return false;
    memcpy(buffer_, text, size);
    buffer_[size] = ';';
    return begin(size + 1);
  }

 private:
  bool empty() {
    pump();
    return written_ == size_;
  }

  bool begin(uint8_t size) {
    size_ = size;
    written_ = 0;
    pump();
    return true;
  }

  Port& port_;
  uint8_t size_;
  uint8_t written_;
  uint8_t buffer_[Longest];
};

}  // namespace leadscomm

#endif
