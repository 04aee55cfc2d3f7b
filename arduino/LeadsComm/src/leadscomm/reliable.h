// The compact session of docs/wire-protocol.md: each message arrives once and in order, or is reported lost.

#ifndef LEADSCOMM_RELIABLE_H
#define LEADSCOMM_RELIABLE_H

#include "named.h"

namespace leadscomm {

template <size_t Payload, uint8_t Window, class Port, class Platform>
class BasicReliableConnection
    : public Named<BasicReliableConnection<Payload, Window, Port, Platform>, Payload, Port, Platform> {
  typedef Named<BasicReliableConnection, Payload, Port, Platform> Base;
  friend Base;
  friend Wire<BasicReliableConnection, Payload, Port, Platform>;
  static_assert(Window == 1 || Window == 2 || Window == 4, "a window has 1, 2 or 4 frames");

 public:
  BasicReliableConnection(Port& port, const char* tag)
      : Base(port, tag),
        inSession_(false),
        peer_(),
        expected_(0),
        ackDue_(false),
        oldest_(0),
        kept_(0),
        underWay_(0),
        next_(0),
        repeats_(0),
        recovered_(0),
        datagrams_(0),
        window_(0),
        segment_(0),
        credit_(0),
        theirCredit_(0),
        theirResend_(0),
        resend_(5),
        longest_(Payload),
        sentAt_(0),
        spokenAt_(0),
        heardAt_(0),
        kind_(0) {}

  bool poll() {
    tend();
    return Base::poll();
  }

  Status send(const void* data, size_t size, bool more = false) {
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    if (this->text()) return more ? Status::TooLong : this->sendText(bytes, size);
    if (!inSession_) return Status::NotConnected;
    if (size > segment_) return Status::TooLong;
    if (kept_ == Window) return Status::Full;
    Kept& place = keptAt(kept_);
    place.size = uint8_t(size);
    place.header = more ? 0x80 : 0x40;
    memcpy(place.payload, bytes, size);
    ++kept_;
    flush();
    return Status::Sent;
  }

  Status sendDatagram(const void* data, size_t size) {
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(bytes, size);
    if (this->language_ == Language::Unheard) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    uint8_t count = inSession_ ? datagrams_ + 1 : 0;
    if (!this->write(count, bytes, uint8_t(size))) return Status::Full;
    datagrams_ = count == 63 ? 0 : count;
    return Status::Sent;
  }

  bool connected() const { return inSession_ || this->text(); }
  bool more() const { return kind_ == 2; }
  bool reliable() const { return kind_ != 0; }
  uint8_t waiting() const { return kept_; }
  size_t segment() const { return inSession_ ? segment_ : Payload; }
  bool idle() const { return kept_ == 0; }
  void resendAfter(uint16_t ms) { resend_ = uint8_t(ms / 10); }
  void longest(uint16_t bytes) { longest_ = bytes; }

  uint32_t session() const {
    if (!inSession_) return this->text();
    return uint32_t(peer_[0]) | uint32_t(peer_[1]) << 8 | uint32_t(peer_[2]) << 16 | uint32_t(peer_[3]) << 24;
  }

  // The present message was not dealt with: the host is to send it again.
  void refuse(Reason reason, uint16_t value) { Base::refuse(reason, value); }

  void later() {
    if (kind_ == 0) return;
    kind_ = 0;
    expected_ = (expected_ - 1) & 7;
    ackDue_ = true;
  }

  void bye() {
    if (inSession_) write(Control::Bye, nullptr, 0);
    endSession();
  }

 private:
  static const uint8_t profiles = Handshake::compact;
  static const uint8_t quarterSecondsOfSilence = 20;
  static const uint8_t quarterSecondsToPing = 4;

  struct Kept {
    uint8_t size;
    uint8_t header;
    uint8_t payload[Payload];
  };

  Kept& keptAt(uint8_t offset) { return kept[uint8_t(oldest_ + offset) % Window]; }

  // Everything that is due by the clock, or was left over for want of room.
  void tend() {
    if (!inSession_) return;
    uint16_t now = Platform::now();
    if (uint8_t(uint8_t(now >> 8) - heardAt_) >= quarterSecondsOfSilence) return endSession();
    if (underWay_ && uint8_t(uint8_t(now >> 2) - sentAt_) >= theirResend_) goBack();
    flush();
    bool silent = uint8_t(uint8_t(now >> 8) - spokenAt_) >= quarterSecondsToPing;
    if (silent) {
      write(Control::Ping | expected_, nullptr, 0);
    } else if (ackDue_) {
      write(Control::Ack | expected_, &credit_, credit_ ? 1 : 0);
    }
  }

  bool write(uint8_t header, const uint8_t* payload, uint8_t size) {
    if (!Base::write(header, payload, size)) return false;
    if (header >= 0x40) ackDue_ = false;
    spokenAt_ = uint8_t(Platform::now() >> 8);
    return true;
  }

  // Sends what is kept and may be under way.
  void flush() {
    uint8_t window = theirCredit_ ? 1 : window_;  // a single frame may always be under way
    while (next_ < kept_ && next_ < window) {
      const Kept& frame = keptAt(next_);
      uint8_t number = (oldest_ + next_) & 7;
      if (!write(frame.header | number << 3 | expected_, frame.payload, frame.size)) return;
      ++next_;
      if (underWay_ < next_) underWay_ = next_;
      sentAt_ = uint8_t(Platform::now() >> 2);
    }
  }

  // Sends all again from the oldest. Repeated acknowledgements are not listened to before something new was acknowledged:
  // they may be answers to what is sent needlessly.
  void goBack() {
    this->counters_.resent += next_;
    next_ = 0;
    repeats_ = 2;
    recovered_ = (oldest_ + underWay_) & 7;
    sentAt_ = uint8_t(Platform::now() >> 2);
  }

  void acknowledge(uint8_t ack) {
    uint8_t count = (ack - oldest_) & 7;
    if (count == 0 || count > underWay_) return;
    oldest_ = ack;
    kept_ -= count;
    underWay_ -= count;
    next_ = next_ > count ? next_ - count : 0;
    repeats_ = ack == recovered_ ? 2 : 0;
    sentAt_ = uint8_t(Platform::now() >> 2);
  }

  bool onSessionFrame(uint8_t header, uint8_t size) {
    if (header < 0x40) {
      heard();
      return deliverAs(0, size);
    }
    uint8_t name = header & Control::nameBits;
    if (name >= Control::Hello && name != Control::Ping) {
      const uint8_t* payload = this->received_ + Base::payloadAt;
      if (name == Control::Bye || (name == Control::Refuse && size >= 3 && payload[0] == uint8_t(Reason::NoSession))) {
        endSession();
      }
      return false;
    }
    if (!inSession_) {
      this->refuse(Reason::NoSession, 0);
      return false;
    }
    heard();
    uint8_t ack = header & 7;
    acknowledge(ack);
    if (header < Control::Ack) return onData(header, size);
    if (name == Control::Ping) {
      ackDue_ = true;
    } else {
      if (size) theirCredit_ = this->received_[Base::payloadAt];
      if (ack == oldest_ && underWay_ && repeats_ < 2 && ++repeats_ == 2) goBack();
    }
    return false;
  }

  bool onData(uint8_t header, uint8_t size) {
    ackDue_ = true;
    if (((header >> 3) & 7) != expected_ || kept_ == Window) return false;  // who gets a message can answer it
    expected_ = (expected_ + 1) & 7;
    return deliverAs(header >> 6, size);
  }

  bool deliverAs(uint8_t kind, uint8_t size) {
    kind_ = kind;
    return this->deliver(Base::payloadAt, size);
  }

  void heard() { heardAt_ = uint8_t(Platform::now() >> 8); }

  void onHello(const uint8_t* hello) {
    heard();
    if (inSession_ && memcmp(peer_, hello + Handshake::Epoch, epochBytes) == 0) return;
    endSession();
    memcpy(peer_, hello + Handshake::Epoch, epochBytes);
    inSession_ = true;
    this->language_ = Language::Frames;
    segment_ = hello[Handshake::Segment + 1] || hello[Handshake::Segment] > Payload ? Payload : hello[Handshake::Segment];
    window_ = hello[Handshake::Window];
    theirCredit_ = hello[Handshake::Credit];
    uint16_t resend = uint16_t(hello[Handshake::Resend] | hello[Handshake::Resend + 1] << 8) / 4;
    theirResend_ = resend > 250 ? 250 : uint8_t(resend) + 1;
    spokenAt_ = heardAt_;
  }

  void fill(uint8_t* welcome) {
    welcome[Handshake::Longest] = uint8_t(longest_);
    welcome[Handshake::Longest + 1] = uint8_t(longest_ >> 8);
    uint16_t resend = resend_ * 10;
    welcome[Handshake::Resend] = uint8_t(resend);
    welcome[Handshake::Resend + 1] = uint8_t(resend >> 8);
    welcome[Handshake::Window] = Window;
    welcome[Handshake::Credit] = credit_;
  }

  void onText() { endSession(); }

  void onFullRing() {
    Base::onFullRing();
    credit_ = uint8_t(Platform::receiveRing);
    ackDue_ = true;
  }

  void endSession() {
    this->counters_.lost += kept_;
    inSession_ = false;
    this->language_ = Language::Unheard;
    kept_ = underWay_ = next_ = oldest_ = expected_ = repeats_ = datagrams_ = 0;
    ackDue_ = false;
  }

  bool inSession_;
  uint8_t peer_[epochBytes];
  uint8_t expected_;
  bool ackDue_;
  uint8_t oldest_;
  uint8_t kept_;
  uint8_t underWay_;
  uint8_t next_;
  uint8_t repeats_;
  uint8_t recovered_;
  uint8_t datagrams_;
  uint8_t window_;
  uint8_t segment_;
  uint8_t credit_;
  uint8_t theirCredit_;
  uint8_t theirResend_;
  uint8_t resend_;
  uint16_t longest_;
  uint8_t sentAt_;
  uint8_t spokenAt_;
  uint8_t heardAt_;
  uint8_t kind_;
  Kept kept[Window];
};

}  // namespace leadscomm

#endif
