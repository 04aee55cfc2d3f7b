// Frames in and out of a port, and the leanest connection that can be made of them.

#ifndef LEADSCOMM_DATAGRAM_H
#define LEADSCOMM_DATAGRAM_H

#include "outlet.h"
#include "status.h"

namespace leadscomm {

struct WireState {
  uint8_t length_;      // bytes received of the present frame or text
  bool overflowed_;     // there were more of them than there is room for
  uint8_t begin_;       // of the message
  uint8_t size_;        // of the message
  Counters counters_;
};

// Collects the bytes of a port, finds frames and texts in them, and writes frames. `Heir` has the buffer, received_, of
// receivedBytes, behind all other members, where an AVR reaches them best. It says what to do with what comes:
//   bool onFrame(header, size)  a good frame; its payload is at received_ + payloadAt. True: it is a message
//   static const bool separates  whether ';' means anything
//   bool onSeparator()          a ';' came, and is kept already. True: it ends a text that is a message
//   void onBad(tooLong)         a bad frame has ended
//   void onFullRing()           the port's receive ring was full
template <class Heir, size_t Payload, class Port, class Platform>
class Wire : protected WireState {
  static_assert(Payload >= 1 && Payload <= longestPayload, "1 to 250 bytes; longer messages go in pieces");

 public:
  // Takes what has come, up to the end of the first message in it. True: data() and size() are that message, until the
  // next poll(). Never waits.
  LEADSCOMM_APART bool poll() {
    outlet_.pump();
    Port& port = outlet_.port();
    int count = port.available();
    if (Platform::receiveRing && count == Platform::receiveRing) {
      ++counters_.full;
      self().onFullRing();
    }
    uint8_t room = uint8_t(receivedBytes - length_);
    uint8_t* end = self().received_ + length_;
    for (uint8_t left = count < 0 ? 0 : count < 255 ? uint8_t(count) : 255; left; --left) {
      uint8_t byte = uint8_t(port.read());
      if (byte != 0 && room != 0 && !(Heir::separates && byte == ';')) {
        *end++ = byte;
        --room;
        continue;
      }
      length_ = uint8_t(receivedBytes - room);
      if (take(byte)) return true;
      room = uint8_t(receivedBytes - length_);
      end = self().received_ + length_;
    }
    length_ = uint8_t(receivedBytes - room);
    return false;
  }

  // The message. A zero byte follows it, so that text can be used as a C string.
  const uint8_t* data() const { return self().received_ + begin_; }
  size_t size() const { return size_; }

  const Counters& counters() const { return counters_; }

 protected:
  static const size_t receivedBytes = Payload + overheadBytes - 1;  // a frame without its 00
  static const uint8_t payloadAt = codeBytes + headerBytes;

  explicit Wire(Port& port) : WireState(), outlet_(port) {}

  void onFullRing() {}
  void onBad(bool) {}
  bool onSeparator() { return false; }
  static const bool separates = false;

  // Makes a part of what was received the message.
  LEADSCOMM_WITHIN bool deliver(uint8_t from, uint8_t bytes) {
    begin_ = from;
    size_ = bytes;
    self().received_[uint8_t(from + bytes)] = 0;
    return true;
  }

  LEADSCOMM_WITHIN void forget() {
    length_ = 0;
    overflowed_ = false;
  }

  Outlet<Payload + overheadBytes, Port, (Payload > Platform::wholeFrames)> outlet_;

 private:
  Heir& self() { return static_cast<Heir&>(*this); }
  const Heir& self() const { return static_cast<const Heir&>(*this); }

  LEADSCOMM_WITHIN bool take(uint8_t byte) {
    if (byte == 0) return endFrame();
    uint8_t length = length_;
    if (length == receivedBytes) {  // kept on collecting all the same: a text may begin in it
      length = 0;
      overflowed_ = true;
    }
    length_ = length + 1;
    self().received_[length] = byte;
    return Heir::separates && byte == ';' && self().onSeparator();
  }

  LEADSCOMM_APART bool endFrame() {
    uint8_t bytes = length_;
    bool tooLong = overflowed_;
    forget();
    if (bytes == 0) return false;
    if (!tooLong && decode(self().received_, bytes)) {
      return self().onFrame(self().received_[codeBytes], bytes - (overheadBytes - 1));
    }
    ++counters_.bad;
    self().onBad(tooLong);
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

  uint8_t received_[Base::receivedBytes];
};

}  // namespace leadscomm

#endif
