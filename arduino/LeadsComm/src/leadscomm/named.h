// Connections with a name, which hear in which of two languages they are spoken to, and answer in it: frames, which end
// in 00, or LEADS text, whose messages end in ';'.

#ifndef LEADSCOMM_NAMED_H
#define LEADSCOMM_NAMED_H

#include "datagram.h"
#include "handshake.h"
#include "words.h"

namespace leadscomm {

struct NamedState : WireState {
  uint8_t epoch_[epochBytes];  // chosen at the first HELLO; zeros before
};

// `Heir` gives what differs between connections with and without a session:
//   static const uint8_t profiles      what it speaks
//   static const size_t longest        of the messages that it takes
//   bool onSessionFrame(header, size)  as onFrame in Wire, for all frames but HELLO
//   void onHello(hello)                a session is wanted
//   void complete(welcome)             fills in what only a session has
//   static const bool refuses          says to whom speaks another version or profile that it does not
//   void onHeard()                     a good HELLO came
//   bool answerWith(header, size)      sends what is in the place of what was received; false
//   bool onMissing()                   a frame was lost. True: its sender may not know how long it may be
//   void onText()                      the host speaks LEADS text from now on
//   uint8_t clock()                    the time, in whatever steps
// `LeadsAlways`: as Outlet has it.
template <class Heir, size_t Payload, class Port, class Platform, bool WithText, bool LeadsAlways,
          class State = NamedState>
class Named : public Wire<Heir, Payload, Port, Platform, LeadsAlways, State>, protected TextState<WithText> {
  typedef Wire<Heir, Payload, Port, Platform, LeadsAlways, State> Base;
  friend Base;
  static_assert(Payload >= Handshake::Tag + 13, "HELLO and WELCOME, with a short tag, must fit into one frame");

 public:
  // The tag is kept by its address. It may be changed at any time, and is cut off where it gets longer than a frame.
  void name(const char* tag) { tag_ = tag; }

  // True: the host speaks LEADS text.
  bool text() const { return WithText && this->language() == Language::Text; }

 protected:
  Named(Port& port, const char* tag) : Base(port), tag_(tag) {}

  Status sendText(const uint8_t* text, size_t size) {
    if (size > Payload) return Status::TooLong;
    if (memchr(text, ';', size)) return Status::NotText;
    return this->outlet_.writeText(text, uint8_t(size)) ? Status::Sent : Status::Full;
  }

  // Says so in the place of what was received, which is not needed any more.
  LEADSCOMM_APART bool refuse(Reason reason, uint8_t value) { return refuseWithin(reason, value); }

  // The same, for who has few reasons.
  LEADSCOMM_WITHIN bool refuseWithin(Reason reason, uint8_t value) {
    uint8_t* payload = self().received() + Base::payloadAt;
    payload[0] = uint8_t(reason);
    payload[1] = value;
    payload[2] = 0;
    return self().answerWith(Control::Refuse, 3);
  }

 private:
  Heir& self() { return static_cast<Heir&>(*this); }
  const Heir& self() const { return static_cast<const Heir&>(*this); }

  LEADSCOMM_WITHIN void onBad(bool tooLong) {
    if (self().onMissing() && tooLong && !text()) refuseWithin(Reason::FrameTooLong, Payload);
  }

  LEADSCOMM_WITHIN bool onFrame(uint8_t header, uint8_t size) {
    this->language(Language::Frames);
    if ((header & Control::nameBits) != Control::Hello) return self().onSessionFrame(header, size);
    return answer(size);
  }

  // Makes the HELLO that was received a WELCOME, and sends it. If there is no room for it, the host will ask again.
  LEADSCOMM_WITHIN bool answer(uint8_t size) {
    uint8_t* const hello = self().received() + Base::payloadAt;
    if (hello[Handshake::Version] != Handshake::version) return refuseWithin(Reason::Version, Handshake::version);
    if (size < Handshake::Tag) return false;
    self().onHeard();
    uint8_t wanted = hello[Handshake::Profiles] & Heir::profiles;
    if (Heir::refuses && hello[Handshake::Profiles] && !wanted) return refuse(Reason::Profile, Heir::profiles);
    hello[Handshake::Profiles] = wanted;
    if (wanted) self().onHello(hello);
    giveEpochs(hello + Handshake::Epoch);
    hello[Handshake::Segment] = Payload;
    hello[Handshake::Segment + 1] = 0;
    hello[Handshake::Longest] = uint8_t(Heir::longest);
    hello[Handshake::Longest + 1] = uint8_t(Heir::longest >> 8);
    self().complete(hello);
    const char* tag = tag_;
    uint8_t* to = hello + Handshake::Tag;
    uint8_t length = 0;
    while (length < Payload - Handshake::Tag && *tag) {
      *to++ = uint8_t(*tag++);
      ++length;
    }
    hello[Handshake::TagSize] = length;
    return self().answerWith(Control::Welcome, Handshake::Tag + length);
  }

  // Makes their epoch the echo, and puts the board's in front of it. At the first HELLO it is chosen: their random number,
  // and in it the time at which it came, so that it differs when the board starts anew and is asked the same again. Its
  // first byte is not 0. In one loop, which an AVR makes least of.
  LEADSCOMM_WITHIN void giveEpochs(uint8_t* epochs) {
    bool chosen = this->epoch_[0];
    for (uint8_t at = 0; at < epochBytes; ++at) {
      uint8_t byte = epochs[at];
      epochs[epochBytes + at] = byte;
      if (!chosen) {
        byte ^= self().clock();
        if (!at) byte = uint8_t(byte ^ Platform::noise()) | 1;
        this->epoch_[at] = byte;
      }
      epochs[at] = this->epoch_[at];
    }
  }

  // Text is what has no control characters; what has them may be the beginning of a frame, and is kept for its end. As
  // long as nobody was heard, only printable text is text, and nothing else may stand before it: a host of LEADS that
  // opens its port anew does not ask again, and a board may start in the middle of a frame.
  static const bool separates = WithText;

  LEADSCOMM_WITHIN bool onSeparator() {
    const uint8_t* received = self().received();
    uint8_t end = this->length_ - 1;
    uint8_t begin = end;
    while (begin && received[uint8_t(begin - 1)] != ';') --begin;
    bool first = begin == 0;
    while (begin < end && (received[begin] == '\r' || received[begin] == '\n')) ++begin;  // a terminal's ends of lines
    const uint8_t* text = received + begin;
    uint8_t size = end - begin;
    if (isQuestion(text, size) && mayBeText(first)) return introduce();
    if (this->language() == Language::Frames || (this->language() == Language::Unheard && !first)) return false;
    for (uint8_t at = 0; at < size; ++at) {
      if (text[at] < ' ' || (this->language() == Language::Unheard && text[at] > '~')) return false;
    }
    if (!size && this->language() == Language::Text) return false;
    bool whole = !this->overflowed();
    this->forget();
    if (!size) return false;
    if (!whole) {
      ++this->counters_.bad;
      return false;
    }
    this->language(isFarewell(text, size) ? Language::Unheard : Language::Text);
    return this->language() == Language::Text && this->deliver(size, begin);
  }

  // In the middle of a frame "ic;" may be anything. At its beginning it would be a run of 104 bytes.
  LEADSCOMM_WITHIN bool mayBeText(bool first) const {
    if (this->language() != Language::Frames || this->overflowed()) return true;
    return first && (Payload <= 100 || !self().connected());
  }

  LEADSCOMM_WITHIN bool introduce() {
    self().onText();
    this->language(Language::Text);
    this->forget();
    this->outlet_.writeText(reinterpret_cast<const uint8_t*>(tag_), sizeOfTag(tag_, Payload));
    return false;
  }

  const char* tag_;
};

}  // namespace leadscomm

#endif
