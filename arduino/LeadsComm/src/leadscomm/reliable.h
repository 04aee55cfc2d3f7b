// The compact session of docs/wire-protocol.md: each message arrives once and in order, or is reported lost.

#ifndef LEADSCOMM_RELIABLE_H
#define LEADSCOMM_RELIABLE_H

#include "named.h"

namespace leadscomm {

struct SessionState {
  uint8_t window_;      // the host's; 0: no session
  uint8_t segment_;     // the longest payload that both sides take
  uint8_t expected_;    // number of the next data frame from the host
  uint8_t due_;         // what is to be said as soon as there is room: ACK, PING, or 0
  uint8_t oldest_;      // number of the oldest frame that is kept
  uint8_t kept_;        // frames that were not acknowledged
  uint8_t next_;        // how many of them come before the one to be sent next
  uint8_t repeats_;     // how often an ACK said that the oldest is expected: `again`, then `deaf` to more of them
  uint8_t recovered_;   // number up to which frames were sent again
  uint8_t datagrams_;   // the count of the last one sent
  uint8_t reserved_;    // 1: a message was not taken for want of room; the next place is for its answer
  uint8_t resend_;      // ticks after which the host wants frames again
  uint8_t since_;       // the tick in which frames were sent or acknowledged last
  uint8_t silent_;      // seconds in which nothing came
};

// What outlasts sessions, too.
struct LineState : SessionState {
  uint8_t tick_;        // 4 ms; when time was looked at last
  uint8_t second_;      // 1,024 ms; the same
  uint8_t credit_;      // bytes that the host may have under way; 0: no limit
  uint8_t creditSize_;  // 1: it is told with each ACK, since it was told once; else 0
  uint8_t patience_;    // how many times 256 ms the host is to wait longer than usual
  uint8_t peer_[epochBytes];  // the epoch of the host that was heard last
};

template <size_t Payload, uint8_t Window, class Port, size_t Longest, class Platform, bool WithText>
class BasicReliableConnection
    : public Named<BasicReliableConnection<Payload, Window, Port, Longest, Platform, WithText>, Payload, Port, Platform,
                   WithText, true>,
      private LineState {
  typedef Named<BasicReliableConnection, Payload, Port, Platform, WithText, true> Base;
  friend Base;
  friend Wire<BasicReliableConnection, Payload, Port, Platform, true>;
  static_assert(Window == 1 || Window == 2 || Window == 4, "a window has 1, 2 or 4 frames");

 public:
  BasicReliableConnection(Port& port, const char* tag) : Base(port, tag), LineState() {}

  LEADSCOMM_APART bool poll() {
    tend();
    return Base::poll();
  }

  LEADSCOMM_APART Status send(const void* data, size_t size, bool more = false) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return more ? Status::TooLong : this->sendText(payload, size);
    if (!window_) return Status::NotConnected;
    if (size > segment_) return Status::TooLong;
    if (uint8_t(kept_ + reserved_) >= Window) return Status::Full;
    uint8_t number = oldest_ + kept_;
    ++kept_;
    Kept& frame = frameOf(number);
    frame.header = uint8_t((number & 7) << 3) | (more ? Header::More : Header::Data);
    frame.size = uint8_t(size);
    memcpy(frame.payload, payload, frame.size);
    tend();
    return Status::Sent;
  }

  // Waits behind messages that have found no room yet: it could take each bit of room before there is enough for them.
  Status sendDatagram(const void* data, size_t size) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(payload, size);
    if (this->language_ == Language::Unheard) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    if (unsent()) return Status::Full;
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
    due_ = Control::Ack;
  }

  // How long the host waits for an acknowledgement before it sends again: 50 ms, unless this is called before the
  // first poll(); then 306 ms, 562 ms and so on, the next that is not less. Slow lines need it: two of the longest
  // frames and an answer take 150 ms at 9600 baud.
  void resendAfter(uint16_t ms) { patience_ = ms <= resendMs ? 0 : uint8_t((ms - resendMs + 255) / 256); }

  // For what puts pieces together: tells the host that its message is not taken.
  void refuseLonger(uint16_t most) {
    uint8_t payload[] = {uint8_t(Reason::MessageTooLong), uint8_t(most), uint8_t(most >> 8)};
    write(Control::Refuse, payload, sizeof payload);
  }

  void bye() {
    if (window_) write(Control::Bye, peer_, 0);
    end();
  }

 private:
  static const uint8_t profiles = Handshake::compact;
  static const size_t longest = Longest;
  static const uint8_t tickMs = 4;
  static const uint16_t secondMs = 1024;
  static const uint8_t silence = 4;  // seconds after which the host has left
  static const uint8_t resendMs = 50;
  static const uint8_t again = 2;
  static const uint8_t deaf = 3;

  struct Kept {
    uint8_t header;  // without the acknowledgement
    uint8_t size;
    uint8_t payload[Payload];
  };

  // Without a multiplication, which an AVR makes much of.
  LEADSCOMM_APART Kept& frameOf(uint8_t number) {
    Kept* frame = frames_;
    if (Window > 1 && (number & 1)) frame += 1;
    if (Window > 2 && (number & 2)) frame += 2;
    return *frame;
  }

  // Everything that is due by the clock, or was left over for want of room.
  LEADSCOMM_APART void tend() {
    uint16_t now = Platform::now();
    tick_ = uint8_t(now / tickMs);
    uint8_t second = uint8_t(now / secondMs);
    bool turned = second != second_;
    second_ = second;
    if (!window_) return;
    if (turned) {
      if (++silent_ > silence) return end();
      if (second % 4 == 0) credit_ = 0;
      due_ = Control::Ping;
    }
    if (repeats_ == again || (next_ && uint8_t(tick_ - since_) > resend_)) goBack();
    while (unsent()) {
      const Kept& frame = frameOf(oldest_ + next_);
      if (!write(frame.header | expected_, frame.payload, frame.size)) break;
      ++next_;
      since_ = tick_;
      due_ = 0;  // it has the acknowledgement, and asks for one
    }
    if (due_ && write(due_ | expected_, &credit_, due_ == Control::Ack ? creditSize_ : 0)) due_ = 0;
  }

  // Something is kept that may be under way, and is not.
  LEADSCOMM_WITHIN bool unsent() const { return next_ < kept_ && next_ < window_; }
  uint8_t clock() const { return tick_; }

  LEADSCOMM_APART bool write(uint8_t header, const uint8_t* payload, uint8_t size) {
    return this->outlet_.writeFrame(header, payload, size);
  }

  // Sends all again from the oldest. ACKs that repeat themselves are not heeded before something new is acknowledged:
  // frames that are sent needlessly cause such ACKs, too.
  LEADSCOMM_WITHIN void goBack() {
    this->counters_.resent += next_;
    recovered_ = (oldest_ + next_) & 7;
    next_ = 0;
    repeats_ = deaf;
  }

  LEADSCOMM_WITHIN void acknowledge(uint8_t ack) {
    uint8_t count = (ack - oldest_) & 7;
    if (count == 0 || count > kept_) return;
    oldest_ = ack;
    kept_ -= count;
    next_ -= count;
    if (next_ & 0x80) next_ = 0;  // they were about to be sent again
    repeats_ = ack == recovered_ ? deaf : 0;
    since_ = tick_;
  }

  LEADSCOMM_WITHIN bool onSessionFrame(uint8_t header, uint8_t size) {
    silent_ = 0;
    if (header < Header::Data) return this->deliver(size);
    uint8_t name = header & Header::nameBits;
    if (name > Control::Ack && name != Control::Ping) {
      bool unknown = name == Control::Refuse && received_[Base::payloadAt] == uint8_t(Reason::NoSession);
      if (name == Control::Bye || unknown) end();
      return false;
    }
    if (!window_) return this->refuse(Reason::NoSession, 0);
    uint8_t ack = header & Header::ackBits;
    acknowledge(ack);
    if (name == Control::Ack) {
      if (size && received_[Base::payloadAt]) window_ = 1;  // a single frame may always be under way
      if (ack == oldest_ && next_ && repeats_ < again) ++repeats_;
      return false;
    }
    due_ = Control::Ack;
    // Who asks while the oldest is missing has heard something damaged.
    if (name == Control::Ping && ack == oldest_ && next_) repeats_ = again;
    uint8_t wanted = expected_;
    wanted <<= 3;
    if (name == Control::Ping || ((header ^ wanted) & Header::numberBits)) return false;
    // Who gets a message must be able to answer it: without room for an answer it is not taken, and comes again.
    reserved_ = kept_ / Window;
    if (reserved_) return false;
    expected_ = (expected_ + 1) & 7;
    return this->deliver(size);
  }

  LEADSCOMM_WITHIN void onHello(const uint8_t* hello) {
    bool known = window_ != 0;
    for (uint8_t at = 0; at < epochBytes; ++at) {
      uint8_t byte = hello[Handshake::Epoch + at];
      if (peer_[at] != byte) known = false;
      peer_[at] = byte;
    }
    if (!known) begin(hello);
    silent_ = 0;
  }

  LEADSCOMM_WITHIN void begin(const uint8_t* hello) {
    end();
    this->language_ = Language::Frames;
    window_ = hello[Handshake::Credit] ? 1 : hello[Handshake::Window];
    uint8_t segment = hello[Handshake::Segment];
    segment_ = hello[Handshake::Segment + 1] || segment > Payload ? Payload : segment;
    uint16_t ticks = uint16_t(hello[Handshake::Resend] | hello[Handshake::Resend + 1] << 8) / tickMs;
    resend_ = ticks > 249 ? 250 : uint8_t(ticks + 1);
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
    due_ = Control::Ack;
    return !window_;
  }

  LEADSCOMM_WITHIN void onFullRing() {
    credit_ = uint8_t(Base::ring);
    creditSize_ = 1;
    due_ = Control::Ack;
  }

  LEADSCOMM_APART void end() {
    this->counters_.lost += kept_;
    this->language_ = Language::Unheard;
    static_cast<SessionState&>(*this) = SessionState();
  }

  uint8_t received_[Base::receivedBytes + 1];
  Kept frames_[Window];
};

}  // namespace leadscomm

#endif
