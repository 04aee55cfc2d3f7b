// Frames in and out of a port, and the leanest connection that can be made of them.

#ifndef LEADSCOMM_DATAGRAM_H
#define LEADSCOMM_DATAGRAM_H

#include "outlet.h"
#include "status.h"

namespace leadscomm {

// Collects the bytes of a port, finds frames and texts in them, and writes frames. `Heir` says what to do with them:
//   bool onFrame(header, size)  a good frame; its payload is at received_ + payloadAt. True: it is a message
//   bool onSeparator()          a ';' came, and is kept already. True: it ends a text that is a message
//   void onOverflow()           a frame that was too long has ended
template <class Heir, size_t Payload, class Port, class Platform>
class Wire {
  static_assert(Payload >= 1 && Payload <= longestPayload, "a frame carries 1 to 250 bytes; longer messages go in pieces");

 public:
  // Takes what has come, up to the end of the first message in it. True: data() and size() are that message, until the
  // next poll(). Never waits.
  bool poll() {
    outlet_.pump();
    int count = outlet_.port().available();
    if (Platform::receiveRing && count == Platform::receiveRing) self().onFullRing();
    for (; count > 0; --count) {
      if (take(uint8_t(outlet_.port().read()))) return true;
    }
    return false;
  }

  // The message. A zero byte follows it, so that text can be used as a C string.
  const uint8_t* data() const { return received_ + begin_; }
  size_t size() const { return size_; }

  const Counters& counters() const { return counters_; }

 protected:
  static const uint8_t payloadAt = codeBytes + headerBytes;

  explicit Wire(Port& port) : outlet_(port), length_(0), begin_(0), size_(0), overflowed_(false), counters_() {}

  void onFullRing() { ++counters_.full; }
  void onOverflow() {}
  bool onSeparator() { return false; }

  // Makes a part of what was received the message.
  bool deliver(uint8_t begin, uint8_t size) {
    begin_ = begin;
    size_ = size;
    received_[begin + size] = 0;
    return true;
  }

  void forget() {
    length_ = 0;
    overflowed_ = false;
  }

  Outlet<Payload + overheadBytes, Port, (Payload > Platform::wholeFrames)> outlet_;
  uint8_t length_;
  uint8_t begin_;
  uint8_t size_;
  bool overflowed_;
  Counters counters_;
  uint8_t received_[Payload + overheadBytes - 1];  // a frame without its 00

 private:
  Heir& self() { return static_cast<Heir&>(*this); }

  bool take(uint8_t byte) {
    if (byte == 0) return endFrame();
    if (length_ == sizeof received_) {  // kept on collecting all the same: a text may begin in it
      length_ = 0;
      overflowed_ = true;
    }
    received_[length_++] = byte;
    return byte == ';' && self().onSeparator();
  }

  bool endFrame() {
    uint8_t length = length_;
    bool overflowed = overflowed_;
    forget();
    if (overflowed) {
      ++counters_.bad;
      self().onOverflow();
    } else if (length) {
      if (decode(received_, length)) return self().onFrame(received_[codeBytes], length - (overheadBytes - 1));
      ++counters_.bad;
    }
    return false;
  }
};

// Datagrams and nothing else: no name, no session, no LEADS text. The host's side is framing=board.
template <size_t Payload, class Port, class Platform>
class BasicDatagramConnection : public Wire<BasicDatagramConnection<Payload, Port, Platform>, Payload, Port, Platform> {
  typedef Wire<BasicDatagramConnection, Payload, Port, Platform> Base;
  friend Base;

 public:
  explicit BasicDatagramConnection(Port& port) : Base(port) {}

  Status send(const void* data, size_t size) {
    if (size > Payload) return Status::TooLong;
    return this->outlet_.writeFrame(0, static_cast<const uint8_t*>(data), uint8_t(size)) ? Status::Sent : Status::Full;
  }

  bool connected() const { return true; }
  uint32_t session() const { return 1; }

 private:
  bool onFrame(uint8_t header, uint8_t size) { return header < 0x40 && this->deliver(Base::payloadAt, size); }
};

}  // namespace leadscomm

#endif
