// Connections with a name, which hear in which of two languages they are spoken to, and answer in it: frames, which end
// in 00, or LEADS text, whose messages end in ';'.

#ifndef LEADSCOMM_NAMED_H
#define LEADSCOMM_NAMED_H

#include "datagram.h"

namespace leadscomm {

enum class Language : uint8_t { Unheard, Frames, Text };

// Control frames: the kind in the two highest bits of the header, and which one in the next three.
struct Control {
  enum Header : uint8_t { Ack = 0xC0, Hello = 0xC8, Welcome = 0xD0, Refuse = 0xD8, Bye = 0xE0, Ping = 0xE8 };
  static const uint8_t nameBits = 0xF8;
};

enum class Reason : uint8_t { NoSession = 1, Version = 2, Profile = 3, FrameTooLong = 4, MessageTooLong = 5 };

// Where the fields of HELLO and WELCOME are, behind the header.
struct Handshake {
  enum Field : uint8_t {
    Version = 0,
    Profiles = 1,
    Epoch = 2,
    Echo = 6,
    Segment = 10,
    Longest = 12,
    Resend = 14,
    Window = 16,
    Credit = 17,
    TagSize = 18,
    Tag = 19
  };
  static const uint8_t version = 1;
  static const uint8_t compact = 1;
};

static const uint8_t epochBytes = 4;

// `Heir` gives what differs between connections with and without a session:
//   static const uint8_t profiles      what it speaks
//   bool onSessionFrame(header, size)  as onFrame in Wire, for all frames but HELLO
//   bool onHello(hello)                a session is wanted
//   void fill(welcome)                 completes the fields from Longest to Credit
//   void onText()                      the host speaks LEADS text from now on
template <class Heir, size_t Payload, class Port, class Platform>
class Named : public Wire<Heir, Payload, Port, Platform> {
  typedef Wire<Heir, Payload, Port, Platform> Base;
  friend Base;
  static_assert(Payload >= Handshake::Tag + 13, "HELLO and WELCOME, with a short tag, must fit into one frame");

 public:
  // The tag is kept by its address. It may be changed at any time, and is cut off where it gets longer than a frame.
  void name(const char* tag) { tag_ = tag; }

  // True: the host speaks LEADS text.
  bool text() const { return language_ == Language::Text; }

 protected:
  Named(Port& port, const char* tag) : Base(port), language_(Language::Unheard), tag_(tag), epoch_() {}

  Status sendText(const uint8_t* text, size_t size) {
    if (size > Payload) return Status::TooLong;
    if (memchr(text, ';', size)) return Status::NotText;
    return this->outlet_.writeText(text, uint8_t(size)) ? Status::Sent : Status::Full;
  }

  void refuse(Reason reason, uint16_t value) {
    uint8_t payload[3] = {uint8_t(reason), uint8_t(value), uint8_t(value >> 8)};
    self().write(Control::Refuse, payload, sizeof payload);
  }

  bool write(uint8_t header, const uint8_t* payload, uint8_t size) {
    return this->outlet_.writeFrame(header, payload, size);
  }

  void onOverflow() {
    if (language_ != Language::Text) refuse(Reason::FrameTooLong, Payload);
  }

  bool onFrame(uint8_t header, uint8_t size) {
    language_ = Language::Frames;
    if ((header & Control::nameBits) != Control::Hello) return self().onSessionFrame(header, size);
    if (size) answer(this->received_ + Base::payloadAt, size);
    return false;
  }

  // Text is what has no control characters; what has them may be the beginning of a frame, and is kept for its end.
  bool onSeparator() {
    uint8_t end = this->length_ - 1;
    uint8_t begin = end;
    while (begin && this->received_[begin - 1] != ';') --begin;
    bool first = begin == 0;
    while (begin < end && this->received_[begin] <= ' ') ++begin;  // line ends of a terminal
    const uint8_t* text = this->received_ + begin;
    uint8_t size = end - begin;
    if (size == 2 && text[0] == 'i' && text[1] == 'c' && mayBeText(first)) {
      introduce();
      return false;
    }
    if (language_ != Language::Text) return false;
    for (uint8_t at = 0; at < size; ++at) {
      if (text[at] < ' ') return false;
    }
    bool whole = !this->overflowed_;
    this->forget();
    if (!whole) {
      ++this->counters_.bad;
      return false;
    }
    if (isFarewell(text, size)) language_ = Language::Unheard;
    return size && language_ == Language::Text && this->deliver(begin, size);
  }

  Language language_;
  const char* tag_;
  uint8_t epoch_[epochBytes];

 private:
  Heir& self() { return static_cast<Heir&>(*this); }
  const Heir& self() const { return static_cast<const Heir&>(*this); }

  // In the middle of a frame "ic;" may be anything. At its beginning it would be a run of 104 bytes.
  bool mayBeText(bool first) const {
    if (language_ != Language::Frames || this->overflowed_) return true;
    return first && (Payload <= 100 || !self().connected());
  }

  void introduce() {
    self().onText();
    language_ = Language::Text;
    this->forget();
    this->outlet_.writeText(reinterpret_cast<const uint8_t*>(tag_), uint8_t(strnlen(tag_, Payload)));
  }

  static bool isFarewell(const uint8_t* text, uint8_t size) {
    return size == 10 && text[0] == 'd' && text[1] == 'i' && text[2] == 's' && text[3] == 'c' && text[4] == 'o' &&
           text[5] == 'n' && text[6] == 'n' && text[7] == 'e' && text[8] == 'c' && text[9] == 't';
  }

  void answer(uint8_t* hello, uint8_t size) {
    if (hello[Handshake::Version] != Handshake::version) return refuse(Reason::Version, Handshake::version);
    if (size < Handshake::Tag || size - Handshake::Tag < hello[Handshake::TagSize]) return;
    uint8_t wanted = hello[Handshake::Profiles];
    if (wanted && !(wanted & Heir::profiles)) return refuse(Reason::Profile, Heir::profiles);
    if (wanted) self().onHello(hello);
    welcome(hello);
  }

  // Makes the HELLO that was received a WELCOME, and sends it. If there is no room for it, the host will ask again.
  void welcome(uint8_t* hello) {
    if (!epoch_[0]) chooseEpoch(hello + Handshake::Epoch);
    hello[Handshake::Profiles] &= Heir::profiles;
    memcpy(hello + Handshake::Echo, hello + Handshake::Epoch, epochBytes);
    memcpy(hello + Handshake::Epoch, epoch_, epochBytes);
    hello[Handshake::Segment] = Payload;
    hello[Handshake::Segment + 1] = 0;
    self().fill(hello);
    size_t size = strnlen(tag_, Payload - Handshake::Tag);
    hello[Handshake::TagSize] = uint8_t(size);
    memcpy(hello + Handshake::Tag, tag_, size);
    self().write(Control::Welcome, hello, Handshake::Tag + uint8_t(size));
  }

  // Chosen when first asked for: the host's random epoch, and the time at which it came.
  void chooseEpoch(const uint8_t* theirs) {
    uint32_t noise = Platform::noise();
    memcpy(epoch_, theirs, epochBytes);
    epoch_[0] = (epoch_[0] ^ uint8_t(noise)) | 1;  // not 0
    epoch_[1] ^= uint8_t(noise >> 8);
    epoch_[2] ^= uint8_t(noise >> 16);
    epoch_[3] ^= uint8_t(noise >> 24);
  }
};

}  // namespace leadscomm

#endif
