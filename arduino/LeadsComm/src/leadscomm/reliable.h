// The compact session of docs/wire-protocol.md: each message arrives once and in order, or is reported lost.

#ifndef LEADSCOMM_RELIABLE_H
#define LEADSCOMM_RELIABLE_H

#include "named.h"

namespace leadscomm {

struct SessionState {
  uint8_t expected_;    // number of the next data frame from the host
  bool ackDue_;
  uint8_t oldest_;      // number of the oldest frame that is kept
  uint8_t kept_;        // frames that were not acknowledged
  uint8_t underWay_;    // those of them that were sent
  uint8_t next_;        // how many of them come before the one to be sent next
  uint8_t repeats_;     // how often an ACK said that the oldest is expected; 2: heard no more
  uint8_t recovered_;   // number up to which frames were sent again
  uint8_t window_;      // the host's; 0: no session
  uint8_t segment_;     // the longest payload that both sides take
  uint8_t datagrams_;   // the count of the last one sent
  bool reserved_;       // a message was not taken for want of room: the next place is for its answer
  uint8_t resend_;      // ticks after which the host wants frames again
  uint8_t resendIn_;    // ticks that are left of it; 0: they begin with the next look at the time
  uint8_t pingIn_;
  uint8_t silenceIn_;
};

// What outlasts sessions, too.
struct LineState : SessionState {
  uint8_t peer_[epochBytes];  // the epoch of the host that was heard last
  uint8_t credit_;      // bytes that the host may have under way; 0: no limit
  uint8_t creditSize_;  // 1: it is told with each ACK, since it was told once; else 0
  uint8_t tick_;        // when time was looked at last
  uint8_t patience_;    // how many times 256 ms the host is to wait longer than usual
};

template <size_t Payload, uint8_t Window, class Port, size_t Longest, class Platform, bool WithText>
class BasicReliableConnection
    : public Named<BasicReliableConnection<Payload, Window, Port, Longest, Platform, WithText>, Payload, Port, Platform,
                   WithText>,
      private LineState {
  typedef Named<BasicReliableConnection, Payload, Port, Platform, WithText> Base;
  friend Base;
  friend Wire<BasicReliableConnection, Payload, Port, Platform>;
  static_assert(Window == 1 || Window == 2 || Window == 4, "a window has 1, 2 or 4 frames");

 public:
  BasicReliableConnection(Port& port, const char* tag) : Base(port, tag), LineState() {}

  bool poll() {
    tend();
    return Base::poll();
  }

  LEADSCOMM_APART Status send(const void* data, size_t size, bool more = false) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return more ? Status::TooLong : this->sendText(payload, size);
    if (!window_) return Status::NotConnected;
    if (size > segment_) return Status::TooLong;
    if (kept_ + reserved_ >= Window) return Status::Full;
    uint8_t number = oldest_ + kept_++;
    Kept& frame = frameOf(number);
    frame.header = uint8_t((number & 7) << 3) | (more ? Header::More : Header::Data);
    frame.size = uint8_t(size);
    memcpy(frame.payload, payload, frame.size);
    flush();
    return Status::Sent;
  }

  Status sendDatagram(const void* data, size_t size) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(payload, size);
    if (this->language_ == Language::Unheard) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    uint8_t count = window_ ? datagrams_ % 63 + 1 : 0;
    if (!write(count, payload, uint8_t(size))) return Status::Full;
    datagrams_ = count;
    return Status::Sent;
  }

  bool connected() const { return window_ || this->text(); }
  uint32_t session() const {
    if (!window_) return this->text();
    return uint32_t(peer_[0]) | uint32_t(peer_[1]) << 8 | uint32_t(peer_[2]) << 16 | uint32_t(peer_[3]) << 24;
  }
  bool more() const { return (received_[codeBytes] & 0xC0) == Header::More; }
  bool reliable() const { return !this->text() && received_[codeBytes] >= Header::Data; }
  uint8_t waiting() const { return kept_; }
  bool idle() const { return kept_ == 0; }
  size_t segment() const { return segment_; }

  // The present message could not be dealt with: the host is to send it again.
  void later() {
    if (!reliable()) return;
    expected_ = (expected_ - 1) & 7;
    ackDue_ = true;
  }

  // How long the host waits for an acknowledgement before it sends again: 50 ms, unless this is called before the
  // first poll(); then 306 ms, 562 ms and so on, the next that is not less. Slow lines need it: two of the longest
  // frames and an answer take 150 ms at 9600 baud.
  void resendAfter(uint16_t ms) { patience_ = ms <= resendMs ? 0 : uint8_t((ms - resendMs + 255) / 256); }

  // For what puts pieces together: tells the host that its message is not taken.
  void refuse(Reason reason, uint16_t value) { Base::refuse(reason, value); }

  void bye() {
    if (window_) write(Control::Bye, nullptr, 0);
    end();
  }

 private:
  static const uint8_t profiles = Handshake::compact;
  static const size_t longest = Longest;
  static const uint8_t tickMs = 16;
  static const uint8_t pingTicks = 1000 / tickMs;
  static const uint8_t silenceTicks = 255;  // 4 s
  static const uint8_t resendMs = 50;

  struct Kept {
    uint8_t header;  // without the acknowledgement
    uint8_t size;
    uint8_t payload[Payload];
  };

  // Without a multiplication, which an AVR makes much of.
  LEADSCOMM_WITHIN Kept& frameOf(uint8_t number) {
    Kept* frame = frames_;
    if (Window > 1 && (number & 1)) frame += 1;
    if (Window > 2 && (number & 2)) frame += 2;
    return *frame;
  }

  // Everything that is due by the clock, or was left over for want of room.
  LEADSCOMM_APART void tend() {
    uint8_t tick = uint8_t(Platform::now() / tickMs);
    uint8_t elapsed = tick - tick_;
    tick_ = tick;
    if (!window_) return;
    if (elapsed > silenceIn_) return end();
    silenceIn_ -= elapsed;
    if (tick < elapsed) credit_ = 0;  // every four seconds
    if (!resendIn_) {
      resendIn_ = resend_;
    } else if (elapsed < resendIn_) {
      resendIn_ -= elapsed;
    } else if (underWay_) {
      goBack();
    }
    flush();
    if (elapsed > pingIn_) {
      write(Control::Ping | expected_, nullptr, 0);
    } else {
      pingIn_ -= elapsed;
      if (ackDue_) write(Control::Ack | expected_, &credit_, creditSize_);
    }
  }

  LEADSCOMM_APART bool write(uint8_t header, const uint8_t* payload, uint8_t size) {
    if (!this->outlet_.writeFrame(header, payload, size)) return false;
    pingIn_ = pingTicks;
    if (header >= Header::Data) ackDue_ = false;
    return true;
  }

  // Sends what is kept and may be under way.
  LEADSCOMM_APART void flush() {
    while (next_ < kept_ && next_ < window_) {
      Kept& frame = frameOf(oldest_ + next_);
      if (!write(frame.header | expected_, frame.payload, frame.size)) return;
      if (underWay_ < ++next_) underWay_ = next_;
      resendIn_ = 0;
    }
  }

  // Sends all again from the oldest. ACKs that repeat themselves are not heeded before something new is acknowledged:
  // frames that are sent needlessly cause such ACKs, too.
  LEADSCOMM_APART void goBack() {
    this->counters_.resent += next_;
    next_ = 0;
    resendIn_ = 0;
    repeats_ = 2;
    recovered_ = (oldest_ + underWay_) & 7;
  }

  LEADSCOMM_WITHIN void acknowledge(uint8_t ack) {
    uint8_t count = (ack - oldest_) & 7;
    if (count == 0 || count > underWay_) return;
    oldest_ = ack;
    kept_ -= count;
    underWay_ -= count;
    next_ = next_ > count ? next_ - count : 0;
    repeats_ = ack == recovered_ ? 2 : 0;
    resendIn_ = 0;
  }

  LEADSCOMM_APART bool onSessionFrame(uint8_t header, uint8_t size) {
    silenceIn_ = silenceTicks;
    if (header < Header::Data) return this->deliver(Base::payloadAt, size);
    uint8_t name = header & Header::nameBits;
    if (name > Control::Ack && name != Control::Ping) {
      bool refused = name == Control::Refuse && size >= 3 && received_[Base::payloadAt] == uint8_t(Reason::NoSession);
      if (refused || name == Control::Bye) end();
      return false;
    }
    if (!window_) return this->refuse(Reason::NoSession, 0), false;
    uint8_t ack = header & Header::ackBits;
    acknowledge(ack);
    if (name != Control::Ack) {
      ackDue_ = true;
      // Who asks while the oldest is missing has heard something damaged.
      if (name == Control::Ping && ack == oldest_ && underWay_) goBack();
      uint8_t wanted = expected_;
      wanted <<= 3;
      if (name == Control::Ping || ((header ^ wanted) & Header::numberBits)) return false;
      // Who gets a message must be able to answer it: without room for an answer it is not taken, and comes again.
      reserved_ = kept_ == Window;
      if (reserved_) return false;
      expected_ = (expected_ + 1) & 7;
      return this->deliver(Base::payloadAt, size);
    }
    if (size && received_[Base::payloadAt]) window_ = 1;  // a single frame may always be under way
    if (ack == oldest_ && underWay_ && repeats_ < 2 && ++repeats_ == 2) goBack();
    return false;
  }

  LEADSCOMM_WITHIN void onHello(const uint8_t* hello) {
    bool known = window_ != 0;
    for (uint8_t at = 0; at < epochBytes; ++at) {
      uint8_t byte = hello[Handshake::Epoch + at];
      if (peer_[at] != byte) known = false;
      peer_[at] = byte;
    }
    if (!known) begin(hello);
    silenceIn_ = silenceTicks;
  }

  LEADSCOMM_WITHIN void begin(const uint8_t* hello) {
    end();
    this->language_ = Language::Frames;
    window_ = hello[Handshake::Credit] ? 1 : hello[Handshake::Window];
    uint8_t segment = hello[Handshake::Segment];
    segment_ = hello[Handshake::Segment + 1] || segment > Payload ? Payload : segment;
    uint16_t ticks = uint16_t(hello[Handshake::Resend] | hello[Handshake::Resend + 1] << 8) / tickMs;
    resend_ = ticks > 250 ? 250 : uint8_t(ticks + 2);
  }

  LEADSCOMM_WITHIN void complete(uint8_t* welcome) {
    welcome[Handshake::Resend] = resendMs;
    welcome[Handshake::Resend + 1] = patience_;
    welcome[Handshake::Window] = Window;
    welcome[Handshake::Credit] = credit_;
  }

  void onText() { end(); }

  // In a session the host knows how long a frame may be: a longer one is two, and the 00 between them was damaged.
  bool onMissing() {
    ackDue_ = true;
    return !window_;
  }


  LEADSCOMM_WITHIN void onFullRing() {
    credit_ = uint8_t(Platform::receiveRing);
    creditSize_ = 1;
    ackDue_ = true;
  }

  LEADSCOMM_APART void end() {
    this->counters_.lost += kept_;
    this->language_ = Language::Unheard;
    static_cast<SessionState&>(*this) = SessionState();
  }

  uint8_t received_[Base::receivedBytes];
  Kept frames_[Window];
};

}  // namespace leadscomm

#endif
