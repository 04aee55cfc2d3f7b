// Frames in and out of a port, and the leanest connection that can be made of them.

#ifndef LEADSCOMM_DATAGRAM_H
#define LEADSCOMM_DATAGRAM_H

#include "outlet.h"
#include "status.h"

namespace leadscomm {

struct WireState {
  uint8_t length_;      // bytes received of the present frame or text
  Counters counters_;
};

enum class Language : uint8_t { Unheard, Frames, Text };

// What only those need who look for texts in what comes: which language was heard last, where the message is, and
// whether there was more before the bytes that are collected than there is room for. A frame's message is behind its
// header, and its size is kept in the place of the frame's code, which is not needed any more.
template <bool Separates>
struct TextState {
  static Language language() { return Language::Frames; }
  static void language(Language) {}
  static uint8_t messageBegin() { return codeBytes + headerBytes; }
  static uint8_t messageSize(const uint8_t* received) { return received[0]; }
  static void message(uint8_t* received, uint8_t, uint8_t size) { received[0] = size; }
  static bool overflowed() { return false; }
  static void overflowed(bool) {}
};
template <>
struct TextState<true> {
  Language language_;
  uint8_t begin_;
  uint8_t size_;
  bool overflowed_;
  TextState() : language_(Language::Unheard), begin_(0), size_(0), overflowed_(false) {}
  Language language() const { return language_; }
  void language(Language now) { language_ = now; }
  uint8_t messageBegin() const { return begin_; }
  uint8_t messageSize(const uint8_t*) const { return size_; }
  void message(const uint8_t*, uint8_t begin, uint8_t size) {
    begin_ = begin;
    size_ = size;
  }
  bool overflowed() const { return overflowed_; }
  void overflowed(bool yes) { overflowed_ = yes; }
};

// Collects the bytes of a port, finds frames and texts in them, and writes frames. `Heir` has the buffer, received_, of
// receivedBytes + 1, behind all other members, where an AVR reaches them best; or received() says where it is. Heir says
// what to do with what comes:
//   bool onFrame(header, size)  a good frame; its payload is at received_ + payloadAt. True: it is a message
//   static const bool separates  whether ';' means anything; it has a TextState<separates>
//   bool onSeparator()          a ';' came, and is kept already. True: it ends a text that is a message
//   void onBad(tooLong)         a bad frame has ended
//   void onFullRing()           the port's receive ring was full
template <class Heir, size_t Payload, class Port, class Platform, bool LeadsAlways = false, class State = WireState>
class Wire : protected State {
  static_assert(Payload >= 1 && Payload <= longestPayload, "1 to 250 bytes; longer messages go in pieces");

 public:
  // Takes what has come, up to the end of the first message in it. True: data() and size() are that message, until the
  // next poll(). Never waits.
  LEADSCOMM_WITHIN bool poll() {
    outlet_.pump();
    Port& port = outlet_.port();
    int count = Calls<Port>::available(port);
    if (ring && count == ring) {
      ++this->counters_.full;
      self().onFullRing();
    }
    uint8_t length = this->length_;
    if (count > 0x7FFF) count = 0x7FFF;
    uint8_t left = uint8_t(count);
    uint8_t more = uint8_t(count >> 8);
    if (more) left |= 0x80;  // at least as many are there; the next poll() takes the others
    for (; left; --left) {
      uint8_t byte = uint8_t(Calls<Port>::read(port));
      if (byte == 0) {
        this->length_ = length;
        if (endFrame()) return true;
        length = 0;
        continue;
      }
      if (Heir::separates) {
        if (length == receivedBytes) {  // kept on collecting all the same: a text may begin in it
          length = 0;
          self().overflowed(true);
        }
      } else if (length > receivedBytes) {
        continue;
      }
      self().received()[length++] = byte;
      if (Heir::separates && byte == ';') {
        this->length_ = length;
        if (self().onSeparator()) return true;
        length = this->length_;
      }
    }
    this->length_ = length;
    return false;
  }

  // The message. A zero byte follows it, so that text can be used as a C string.
  const uint8_t* data() const { return self().received() + self().messageBegin(); }
  size_t size() const { return self().messageSize(self().received()); }

  const Counters& counters() const { return this->counters_; }

 protected:
  static const size_t receivedBytes = Payload + overheadBytes - 1;  // a frame without its 00
  static const uint8_t payloadAt = codeBytes + headerBytes;
  static const int ring = Platform::receiveRing(static_cast<Port*>(nullptr));

  explicit Wire(Port& port) : State(), outlet_(port) {}

  uint8_t* received() { return self().received_; }
  const uint8_t* received() const { return self().received_; }
  void onFullRing() {}
  void onBad(bool) {}
  bool onSeparator() { return false; }
  static const bool separates = false;

  // Makes a part of what was received the message.
  LEADSCOMM_WITHIN bool deliver(uint8_t bytes, uint8_t from = payloadAt) {
    self().message(self().received(), from, bytes);
    self().received()[uint8_t(from + bytes)] = 0;
    return true;
  }

  LEADSCOMM_WITHIN void forget() {
    this->length_ = 0;
    self().overflowed(false);
  }

  Outlet<Payload + overheadBytes, Port, (Payload > Platform::wholeFrames || Payload > longestUnbuffered), LeadsAlways> outlet_;

 private:
  Heir& self() { return static_cast<Heir&>(*this); }
  const Heir& self() const { return static_cast<const Heir&>(*this); }

  LEADSCOMM_APART bool endFrame() {
    uint8_t bytes = this->length_;
    bool tooLong = Heir::separates ? self().overflowed() : bytes > receivedBytes;
    forget();
    if (bytes == 0) return false;
    if (!tooLong && decode(self().received(), bytes)) {
      return self().onFrame(self().received()[codeBytes], bytes - (overheadBytes - 1));
    }
    ++this->counters_.bad;
    self().onBad(tooLong);
    return false;
  }
};

// Datagrams and nothing else: no name, no session, no LEADS text. The host's side is framing=board.
template <size_t Payload, class Port, class Platform>
class BasicDatagramConnection : public Wire<BasicDatagramConnection<Payload, Port, Platform>, Payload, Port, Platform>,
                                private TextState<false> {
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
  LEADSCOMM_WITHIN bool onFrame(uint8_t header, uint8_t size) { return header < 0x40 && this->deliver(size); }

  uint8_t received_[Base::receivedBytes + 1];
};

}  // namespace leadscomm

#endif
