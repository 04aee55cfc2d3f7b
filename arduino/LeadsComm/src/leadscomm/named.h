// Connections with a name, which hear in which of two languages they are spoken to, and answer in it: frames, which end
// in 00, or LEADS text, whose messages end in ';'.

#ifndef LEADSCOMM_NAMED_H
#define LEADSCOMM_NAMED_H

#include "datagram.h"
#include "handshake.h"
#include "words.h"

namespace leadscomm {

enum class Language : uint8_t { Unheard, Frames, Text };

struct NamedState {
  Language language_;
  uint8_t epoch_[epochBytes];  // chosen at the first HELLO; zeros before
};

// `Heir` gives what differs between connections with and without a session:
//   static const uint8_t profiles      what it speaks
//   static const size_t longest        of the messages that it takes
//   bool onSessionFrame(header, size)  as onFrame in Wire, for all frames but HELLO
//   void onHello(hello)                a session is wanted
//   void complete(welcome)             fills in what only a session has
//   bool onMissing()                   a frame was lost. True: its sender may not know how long it may be
//   void onText()                      the host speaks LEADS text from now on
//   bool write(header, payload, size)  as Outlet::writeFrame
template <class Heir, size_t Payload, class Port, class Platform, bool WithText>
class Named : public Wire<Heir, Payload, Port, Platform>, protected NamedState {
  typedef Wire<Heir, Payload, Port, Platform> Base;
  friend Base;
  static_assert(Payload >= Handshake::Tag + 13, "HELLO and WELCOME, with a short tag, must fit into one frame");

 public:
  // The tag is kept by its address. It may be changed at any time, and is cut off where it gets longer than a frame.
  void name(const char* tag) { tag_ = tag; }

  // True: the host speaks LEADS text.
  bool text() const { return WithText && language_ == Language::Text; }

 protected:
  Named(Port& port, const char* tag) : Base(port), NamedState(), tag_(tag) {}

  Status sendText(const uint8_t* text, size_t size) {
    if (size > Payload) return Status::TooLong;
    if (memchr(text, ';', size)) return Status::NotText;
    return this->outlet_.writeText(text, uint8_t(size)) ? Status::Sent : Status::Full;
  }

  LEADSCOMM_APART bool refuse(Reason reason, uint16_t value) {
    uint8_t payload[] = {uint8_t(reason), uint8_t(value), uint8_t(value >> 8)};
    self().write(Control::Refuse, payload, sizeof payload);
    return false;
  }

 private:
  Heir& self() { return static_cast<Heir&>(*this); }
  const Heir& self() const { return static_cast<const Heir&>(*this); }

  LEADSCOMM_WITHIN void onBad(bool tooLong) {
    if (self().onMissing() && tooLong && !text()) refuse(Reason::FrameTooLong, Payload);
  }

  LEADSCOMM_WITHIN bool onFrame(uint8_t header, uint8_t size) {
    language_ = Language::Frames;
    if ((header & Control::nameBits) != Control::Hello) return self().onSessionFrame(header, size);
    return size && answer(size);
  }

  LEADSCOMM_APART bool answer(uint8_t size) {
    uint8_t* const hello = self().received_ + Base::payloadAt;
    if (hello[Handshake::Version] != Handshake::version) return refuse(Reason::Version, Handshake::version);
    if (size < Handshake::Tag || uint8_t(size - Handshake::Tag) < hello[Handshake::TagSize]) return false;
    if (hello[Handshake::Profiles]) {
      hello[Handshake::Profiles] &= Heir::profiles;
      if (!hello[Handshake::Profiles]) return refuse(Reason::Profile, Heir::profiles);
      self().onHello(hello);
    }
    return welcome(hello);
  }

  // Makes the HELLO that was received a WELCOME, and sends it. If there is no room for it, the host will ask again.
  LEADSCOMM_WITHIN bool welcome(uint8_t* hello) {
    uint8_t* theirs = hello + Handshake::Epoch;
    memcpy(hello + Handshake::Echo, theirs, epochBytes);
    if (!epoch_[0]) {
      // Their random number, and the time at which it came: so it differs when the board starts anew and is asked the
      // same again. It is not 0.
      uint16_t noise = Platform::noise();
      theirs[0] = (theirs[0] ^ uint8_t(noise)) | 1;
      theirs[1] ^= uint8_t(noise >> 8);
      memcpy(epoch_, theirs, epochBytes);
    }
    memcpy(theirs, epoch_, epochBytes);
    hello[Handshake::Segment] = Payload;
    hello[Handshake::Segment + 1] = 0;
    hello[Handshake::Longest] = uint8_t(Heir::longest);
    hello[Handshake::Longest + 1] = uint8_t(Heir::longest >> 8);
    self().complete(hello);
    uint8_t size = sizeOfTag(tag_, Payload - Handshake::Tag);
    hello[Handshake::TagSize] = size;
    memcpy(hello + Handshake::Tag, tag_, size);
    self().write(Control::Welcome, hello, Handshake::Tag + size);
    return false;
  }

  // Text is what has no control characters; what has them may be the beginning of a frame, and is kept for its end.
  static const bool separates = WithText;

  LEADSCOMM_WITHIN bool onSeparator() {
    const uint8_t* received = self().received_;
    uint8_t end = this->length_ - 1;
    uint8_t begin = end;
    while (begin && received[uint8_t(begin - 1)] != ';') --begin;
    while (begin < end && (received[begin] == '\r' || received[begin] == '\n')) ++begin;  // a terminal's ends of lines
    const uint8_t* text = received + begin;
    uint8_t size = end - begin;
    if (isQuestion(text, size) && mayBeText(begin == 0)) return introduce();
    if (language_ != Language::Text) return false;
    for (uint8_t at = 0; at < size; ++at) {
      if (text[at] < ' ') return false;
    }
    if (!size) return false;
    bool whole = !this->overflowed_;
    this->forget();
    if (!whole) {
      ++this->counters_.bad;
      return false;
    }
    if (!isFarewell(text, size)) return this->deliver(begin, size);
    language_ = Language::Unheard;
    return false;
  }

  // In the middle of a frame "ic;" may be anything. At its beginning it would be a run of 104 bytes.
  LEADSCOMM_WITHIN bool mayBeText(bool first) const {
    if (language_ != Language::Frames || this->overflowed_) return true;
    return first && (Payload <= 100 || !self().connected());
  }

  LEADSCOMM_WITHIN bool introduce() {
    self().onText();
    language_ = Language::Text;
    this->forget();
    this->outlet_.writeText(reinterpret_cast<const uint8_t*>(tag_), sizeOfTag(tag_, Payload));
    return false;
  }

  const char* tag_;
};

}  // namespace leadscomm

#endif
