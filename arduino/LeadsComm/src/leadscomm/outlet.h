// The way out: frames and LEADS texts, written as far as the port has room, and never waited for.

#ifndef LEADSCOMM_OUTLET_H
#define LEADSCOMM_OUTLET_H

#include "frame.h"

namespace leadscomm {

// A port's methods. Where its type is the whole truth, a class that can have objects, they are called as that class has
// them; a Stream's are looked up in its object, which costs an AVR 15 cycles and 12 bytes of flash for each call.
template <class Port, bool Interface = __is_abstract(Port)>
struct Calls {
  static int available(Port& port) { return port.Port::available(); }
  static int read(Port& port) { return port.Port::read(); }
  static int room(Port& port) { return port.Port::availableForWrite(); }
  static size_t write(Port& port, const uint8_t* data, size_t size) { return port.Port::write(data, size); }
};
template <class Port>
struct Calls<Port, true> {
  static int available(Port& port) { return port.available(); }
  static int read(Port& port) { return port.read(); }
  static int room(Port& port) { return port.availableForWrite(); }
  static size_t write(Port& port, const uint8_t* data, size_t size) { return port.write(data, size); }
};

// Frames leave with a 00 in front of them, so that what the sketch printed before is no part of them. It needs no room of
// its own: where the port has none beside the frame, `Always` has it wait for one byte to leave (in a session a frame
// must get through), and otherwise it is left out (the port is busy with frames of ours, which end in a 00 themselves).
static const uint8_t leadBytes = 1;
static const size_t longestUnbuffered = 255 - leadBytes - overheadBytes;

// Without a buffer of its own: what does not fit whole into the port's is not taken. Costs no RAM, and is right where
// the port's buffer takes the longest frame.
template <size_t Longest, class Port, bool Buffered, bool Always>
class Outlet {
 public:
  explicit Outlet(Port& port) : port_(port) {}

  Port& port() { return port_; }
  void pump() {}

  LEADSCOMM_WITHIN bool writeFrame(uint8_t header, const uint8_t* payload, uint8_t size) {
    int room = Calls<Port>::room(port_);
    if (room < size + overheadBytes) return false;
    uint8_t frame[leadBytes + Longest];
    frame[0] = 0;
    encode(frame + leadBytes, header, payload, size);
    const uint8_t* from = frame;
    size += leadBytes + overheadBytes;
    if (!Always && room < size) {
      ++from;
      --size;
    }
    Calls<Port>::write(port_, from, size);
    return true;
  }

  // The same for a frame that is made where it is, without a copy. `lead` is a byte for the 00 in front of it; behind that
  // are the number of its bytes before its own 00, header and payload. They are as they were when this is done, so that
  // the frame can be sent again, with another header.
  LEADSCOMM_WITHIN bool writeInPlace(uint8_t* lead) {
    uint8_t bytes = lead[leadBytes];
    if (Calls<Port>::room(port_) <= bytes) return false;
    lead[0] = 0;
    seal(lead + leadBytes, bytes);
    Calls<Port>::write(port_, lead, uint8_t(bytes + leadBytes + 1));
    unstuff(lead + leadBytes, bytes, true);
    lead[leadBytes] = bytes;
    return true;
  }

  bool writeText(const uint8_t* text, uint8_t size) {
    if (Calls<Port>::room(port_) <= size) return false;
    uint8_t line[Longest];
    memcpy(line, text, size);
    line[size] = ';';
    Calls<Port>::write(port_, line, size + 1);
    return true;
  }

 private:
  Port& port_;
};

// With a buffer for one frame, which leaves piece by piece. Right for every port that ever has room.
template <size_t Longest, class Port, bool Always>
class Outlet<Longest, Port, true, Always> {
 public:
  explicit Outlet(Port& port) : port_(port), size_(0), written_(0) {}

  Port& port() { return port_; }

  void pump() {
    int room = written_ < size_ ? Calls<Port>::room(port_) : 0;
    if (room <= 0) return;
    uint16_t left = size_ - written_;
    written_ += uint16_t(Calls<Port>::write(port_, buffer_ + written_, unsigned(room) < left ? uint16_t(room) : left));
  }

  LEADSCOMM_WITHIN bool writeFrame(uint8_t header, const uint8_t* payload, uint8_t size) {
    if (!empty()) return false;
    buffer_[0] = 0;
    encode(buffer_ + leadBytes, header, payload, size);
    return begin(size + (leadBytes + overheadBytes));
  }

  LEADSCOMM_WITHIN bool writeInPlace(uint8_t* lead) {
    return writeFrame(lead[leadBytes + codeBytes], lead + leadBytes + codeBytes + headerBytes,
                      lead[leadBytes] - (overheadBytes - 1));
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

  bool begin(uint16_t size) {
    size_ = size;
    written_ = 0;
    pump();
    return true;
  }

  Port& port_;
  uint16_t size_;
  uint16_t written_;
  uint8_t buffer_[leadBytes + Longest];
};

}  // namespace leadscomm

#endif
