// LEADS text alone: messages end in ';'. No frames, no CRC.

#ifndef LEADSCOMM_TEXT_H
#define LEADSCOMM_TEXT_H

#include "outlet.h"
#include "status.h"
#include "words.h"

namespace leadscomm {

// For boards that only LEADS hosts, or a person at a terminal, will ever talk to. Unlike the connections that hear
// frames as well, it also takes what is said before the first "ic;". It speaks at any time.
template <size_t Payload, class Port, class Platform>
class BasicTextConnection {
 public:
  BasicTextConnection(Port& port, const char* tag) : outlet_(port), tag_(tag), length_(0), size_(0), counters_() {}

  bool poll() {
    outlet_.pump();
    for (int count = Calls<Port>::available(outlet_.port()); count > 0; --count) {
      if (take(uint8_t(Calls<Port>::read(outlet_.port())))) return true;
    }
    return false;
  }

  const uint8_t* data() const { return received_; }
  size_t size() const { return size_; }
  const Counters& counters() const { return counters_; }
  void name(const char* tag) { tag_ = tag; }
  bool connected() const { return true; }
  uint32_t session() const { return 1; }

  Status send(const void* data, size_t size) {
    if (size > Payload) return Status::TooLong;
    if (memchr(data, ';', size)) return Status::NotText;
    return outlet_.writeText(static_cast<const uint8_t*>(data), uint8_t(size)) ? Status::Sent : Status::Full;
  }

 private:
  static const uint8_t tooLong = Payload + 1;

  bool take(uint8_t byte) {
    if (byte != ';') {
      if (byte < ' ' && length_ == 0) return false;  // a terminal's ends of lines
      if (length_ < Payload) received_[length_] = byte;
      if (length_ < tooLong) ++length_;
      return false;
    }
    uint8_t size = length_;
    length_ = 0;
    if (size == tooLong) ++counters_.bad;
    if (size == 0 || size == tooLong || isFarewell(received_, size)) return false;
    if (isQuestion(received_, size)) {
      outlet_.writeText(reinterpret_cast<const uint8_t*>(tag_), sizeOfTag(tag_, Payload));
      return false;
    }
    size_ = size;
    received_[size] = 0;
    return true;
  }

  Outlet<Payload + 1, Port, (Payload > Platform::wholeFrames || Payload > longestUnbuffered), false> outlet_;
  const char* tag_;
  uint8_t length_;
  uint8_t size_;
  Counters counters_;
  uint8_t received_[Payload + 1];
};

}  // namespace leadscomm

#endif
