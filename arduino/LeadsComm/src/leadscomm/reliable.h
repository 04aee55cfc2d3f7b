// The compact session of docs/wire-protocol.md: each message arrives once and in order, or is reported lost.

#ifndef LEADSCOMM_RELIABLE_H
#define LEADSCOMM_RELIABLE_H

#include "named.h"

namespace leadscomm {

struct SessionState {
  uint8_t window_;      // the host's; 0: no session
  uint8_t expected_;    // number of the next data frame from the host
  uint8_t due_;         // what is to be said as soon as there is room: ACK, PING, or 0
  uint8_t oldest_;      // number of the oldest frame that is kept
  uint8_t kept_;        // frames that were not acknowledged
  uint8_t next_;        // how many of them come before the one to be sent next
  uint8_t repeats_;     // how often an ACK said that the oldest is expected: `again`; then as goBack() has it
  uint8_t reserved_ : 1;   // 1: a message was not taken for want of room; the next place is for its answer
  uint8_t datagrams_ : 7;  // the count of the last one sent
  uint8_t resend_;      // ticks after which the host wants frames again
  uint8_t since_;       // the tick in which frames were sent or acknowledged last
};

// What outlasts sessions, too.
struct LineState : NamedState, SessionState {
  uint8_t stays_;       // seconds after which the host has left, if nothing comes; 0: nobody was heard, or he has left
  uint8_t tick_;        // 4 ms; when time was looked at last
  uint8_t second_;      // 1,024 ms; the same
  uint8_t credit_;      // bytes that the host may have under way, or 0: no limit; and `told`
  uint8_t patience_;    // how many times 256 ms the host is to wait longer than usual
  uint8_t peer_[epochBytes];  // the epoch of the host that was heard last
};

// The longest payload that both sides take, where that is agreed upon.
template <bool Agreed, uint8_t Own>
struct Segment {
  static uint8_t segment() { return Own; }
  static void segment(uint8_t) {}
};
template <uint8_t Own>
struct Segment<true, Own> {
  uint8_t segment_;
  Segment() : segment_(Own) {}
  uint8_t segment() const { return segment_; }
  void segment(uint8_t host) { segment_ = host < Own ? host : Own; }
};

// What a connection has beside the session, put together by |.
struct Having {
  static const uint8_t text = 1;  // LEADS text
  static const uint8_t lean = 2;  // less: see LeanReliableConnection
};

template <size_t Payload, uint8_t Window, class Port, size_t Longest, class Platform, uint8_t With>
class BasicReliableConnection
    : public Named<BasicReliableConnection<Payload, Window, Port, Longest, Platform, With>, Payload, Port, Platform,
                   (With & Having::text) != 0, true, LineState>,
      private Segment<!(With & Having::lean), Payload> {
  typedef Named<BasicReliableConnection, Payload, Port, Platform, (With & Having::text) != 0, true, LineState> Base;
  typedef Segment<!(With & Having::lean), Payload> Agreement;
  friend Base;
  friend Wire<BasicReliableConnection, Payload, Port, Platform, true, LineState>;
  static_assert(Window == 1 || Window == 2 || Window == 4, "a window has 1, 2 or 4 frames");

 public:
  LEADSCOMM_APART BasicReliableConnection(Port& port, const char* tag) : Base(port, tag) {}

  LEADSCOMM_APART bool poll() {
    tend();
    sayDue();
    return Base::poll();
  }

  Status send(const void* data, size_t size, bool more = false) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return more ? Status::TooLong : this->sendText(payload, size);
    return keep(payload, size, more ? Header::More : Header::Data);
  }

  // Waits behind messages that have found no room yet: it could take each bit of room before there is enough for them.
  Status sendDatagram(const void* data, size_t size) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(payload, size);
    if (!stays_) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    if (unsent()) return Status::Full;
    uint8_t last = datagrams_;
    uint8_t count = window_ ? last % 63 + 1 : 0;
    if (!outlet_.writeFrame(count, payload, uint8_t(size))) return Status::Full;
    datagrams_ = count & 0x7F;
    return Status::Sent;
  }

  bool connected() const { return window_ || this->text(); }
  uint32_t session() const {
    if (!window_) return this->text();
    return uint32_t(peer_[0]) | uint32_t(peer_[1]) << 8 | uint32_t(peer_[2]) << 16 | uint32_t(peer_[3]) << 24;
  }
  bool more() const { return (received()[codeBytes] & 0xC0) == Header::More; }
  bool reliable() const { return !this->text() && received()[codeBytes] >= Header::Data; }
  uint8_t waiting() const { return kept_; }
  bool idle() const { return kept_ == 0; }
  size_t segment() const { return Agreement::segment(); }

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
    outlet_.writeFrame(Control::Refuse, payload, sizeof payload);
  }

  void bye() {
    if (window_) outlet_.writeFrame(Control::Bye, peer_, 0);
    leave();
  }

 private:
  using Base::window_; using Base::expected_; using Base::due_; using Base::oldest_;
  using Base::kept_; using Base::next_; using Base::repeats_;
  using Base::datagrams_; using Base::reserved_; using Base::resend_; using Base::since_;
  using Base::stays_; using Base::tick_; using Base::second_; using Base::credit_; using Base::patience_;
  using Base::peer_; using Base::length_; using Base::counters_; using Base::outlet_;

  static const uint8_t profiles = Handshake::compact;
  static const size_t longest = Longest;
  static const uint8_t tickMs = 4;
  static const uint8_t silence = 5;  // seconds after which the host has left
  static const uint8_t told = 0x80;  // the host knows of a credit: it is told with each ACK, even that there is none
  static const uint8_t resendMs = 50;
  static const uint8_t again = 2;
  static const uint8_t deaf = 3;

  static const bool bargains = !(With & Having::lean);  // about lengths, profiles and versions
  static const bool refuses = bargains;

  // A place for a frame and the 00 in front of it; the 00 at its end is that of the next place. What comes is in the
  // first one, and what is kept in the others. All that is sent is made in a place, so that a frame is copied once:
  // see Outlet::writeInPlace.
  static const size_t slotBytes = Payload + overheadBytes;
  static const uint8_t sizeAt = leadBytes;  // the frame's bytes before its 00
  static const uint8_t headerAt = leadBytes + codeBytes;
  static const uint8_t longestSaid = leadBytes + overheadBytes + 1;  // ACK with a credit

  LEADSCOMM_APART Status keep(const uint8_t* payload, size_t size, uint8_t kind) {
    if (!window_) return Status::NotConnected;
    if (size > segment()) return Status::TooLong;
    if (uint8_t(kept_ + reserved_) >= Window) return Status::Full;
    uint8_t number = oldest_ + kept_;
    ++kept_;
    uint8_t header = uint8_t((number & 7) << 3) | kind;
    uint8_t* frame = frameOf(number);
    frame[sizeAt] = uint8_t(size + (overheadBytes - 1));
    frame[headerAt] = header;
    copy(frame + headerAt + 1, payload, uint8_t(size));
    tend();
    return Status::Sent;
  }

  uint8_t* received() { return slots_ + leadBytes; }
  const uint8_t* received() const { return slots_ + leadBytes; }

  // Where a message is kept; without a multiplication, which an AVR makes much of.
  LEADSCOMM_APART uint8_t* frameOf(uint8_t number) {
    uint8_t* frame = slots_ + slotBytes;
    if (Window > 1 && (number & 1)) frame += slotBytes;
    if (Window > 2 && (number & 2)) frame += 2 * slotBytes;
    return frame;
  }

  // Everything that is due by the clock, or was left over for want of room.
  LEADSCOMM_APART void tend() {
    uint16_t ticks = Platform::now() / tickMs;
    tick_ = uint8_t(ticks);
    uint8_t second = uint8_t(ticks >> 8);
    bool turned = second != second_;  // one at a time, if nobody polls for long
    second_ = second;
    if (!window_) {
      due_ = 0;
      return;
    }
    if (turned) {
      due_ = Control::Ping;
      second &= 3;
      if (!second) credit_ &= told;  // each fourth second
      if (!--stays_) {
        this->language(Language::Unheard);
        end();
      }
    }
    if (repeats_ == again || (next_ && uint8_t(tick_ - since_) > resend_)) goBack();
    while (unsent()) {
      uint8_t* frame = frameOf(oldest_ + next_);
      frame[headerAt] = (frame[headerAt] & ~Header::ackBits) | expected_;
      if (!write(frame)) break;
      ++next_;
      since_ = tick_;
      due_ = 0;  // it has the acknowledgement, and asks for one
    }
  }

  // Says what is due, in the room behind what has come of a frame by now; if there is none, after that frame. It is
  // called when the message is not needed any more.
  LEADSCOMM_WITHIN void sayDue() {
    uint8_t due = due_;
    if (!due || length_ > slotBytes - longestSaid) return;
    uint8_t* frame = slots_ + leadBytes + length_;
    uint8_t credit = credit_;
    uint8_t bytes = overheadBytes - 1;
    if ((credit & told) && due == Control::Ack) ++bytes;
    frame[sizeAt] = bytes;
    frame[headerAt] = due | expected_;
    frame[headerAt + 1] = credit & uint8_t(~told);
    if (write(frame)) due_ = 0;
  }

  LEADSCOMM_APART bool write(uint8_t* lead) { return outlet_.writeInPlace(lead); }

  LEADSCOMM_WITHIN bool answerWith(uint8_t header, uint8_t size) {
    slots_[sizeAt] = size + (overheadBytes - 1);
    slots_[headerAt] = header;
    write(slots_);
    return false;
  }

  // Something is kept that may be under way, and is not.
  LEADSCOMM_WITHIN bool unsent() const { return next_ < kept_ && next_ < window_; }
  uint8_t clock() const { return tick_; }

  // Sends all again from the oldest. ACKs that repeat themselves are not heeded before something is acknowledged, and if
  // that is all that was under way, not before something more is: frames that are sent needlessly cause such ACKs, too. So
  // `repeats_` is `deaf` and their number, which acknowledge() takes off.
  LEADSCOMM_WITHIN void goBack() {
    counters_.resent += next_;
    repeats_ = deaf + next_;
    next_ = 0;
  }

  LEADSCOMM_WITHIN void acknowledge(uint8_t ack, bool explicitly) {
    uint8_t count = (ack - oldest_) & 7;
    uint8_t kept = kept_;
    if (count > kept) return;
    uint8_t next = next_;
    if (count) {
      oldest_ = ack;
      kept_ = kept - count;
      next -= count;
      if (next & 0x80) next = 0;  // they were about to be sent again
      next_ = next;
      uint8_t repeats = repeats_ - count;
      if (repeats != deaf) repeats = 0;
      repeats_ = repeats;
      since_ = tick_;
    }
    if (explicitly && next && repeats_ < again) ++repeats_;
  }

  void onHeard() { stays_ = silence; }

  LEADSCOMM_WITHIN bool onSessionFrame(uint8_t header, uint8_t size) {
    uint8_t name = header & Header::nameBits;
    if (name > Control::Ack && name != Control::Ping) {
      bool unknown = bargains && name == Control::Refuse &&
                     received()[Base::payloadAt] == uint8_t(Reason::NoSession);
      if (name == Control::Bye || unknown) leave();
      return false;
    }
    onHeard();  // not by a refusal: who says nothing else is not there for this session
    if (header < Header::Data) return this->deliver(size);
    if (!window_) {
      return bargains ? this->refuse(Reason::NoSession, 0) : this->refuseWithin(Reason::NoSession, 0);
    }
    acknowledge(header & Header::ackBits, name == Control::Ack);
    if (name == Control::Ack) {
      if (bargains && size && received()[Base::payloadAt]) window_ = 1;  // a single frame may always be under way
      return false;
    }
    due_ = Control::Ack;
    uint8_t wanted = expected_;
    wanted <<= 3;
    if (name == Control::Ping) {
      if (next_) repeats_ = again;  // who asks while the oldest is missing has heard something damaged
      return false;
    }
    if ((header ^ wanted) & Header::numberBits) return false;
    // Who gets a message must be able to answer it: without room for an answer it is not taken, and comes again.
    reserved_ = (kept_ / Window) & 1;
    if (reserved_) return false;
    expected_ = (expected_ + 1) & 7;
    return this->deliver(size);
  }

  LEADSCOMM_WITHIN void onHello(const uint8_t* hello) {
    for (uint8_t at = 0; at < epochBytes; ++at) {
      uint8_t byte = hello[Handshake::Epoch + at];
      if (peer_[at] != byte) window_ = 0;
      peer_[at] = byte;
    }
    if (window_) return;
    end();
    window_ = hello[Handshake::Window];
    if (bargains) {
      if (hello[Handshake::Credit]) window_ = 1;
      Agreement::segment(hello[Handshake::Segment + 1] ? Payload : hello[Handshake::Segment]);
    }
    uint16_t ticks = uint16_t(hello[Handshake::Resend] | hello[Handshake::Resend + 1] << 8) / tickMs;
    resend_ = ticks > 250 ? 250 : uint8_t(ticks);
  }

  LEADSCOMM_WITHIN void complete(uint8_t* welcome) {
    welcome[Handshake::Resend] = resendMs;
    welcome[Handshake::Resend + 1] = patience_;
    welcome[Handshake::Window] = Window;
    welcome[Handshake::Credit] = credit_ & uint8_t(~told);
  }

  void onText() { leave(); }

  // In a session the host knows how long a frame may be: a longer one is two, and the 00 between them was damaged.
  LEADSCOMM_WITHIN bool onMissing() {
    due_ = Control::Ack;
    return !window_;
  }

  LEADSCOMM_WITHIN void onFullRing() {
    credit_ = uint8_t(Base::ring) | told;
    due_ = Control::Ack;
  }

  LEADSCOMM_WITHIN void leave() {
    stays_ = 0;
    this->language(Language::Unheard);
    end();
  }

  // The session has ended.
  LEADSCOMM_APART void end() {
    counters_.lost += kept_;
    static_cast<SessionState&>(*this) = SessionState();
  }

  uint8_t slots_[leadBytes + (1 + Window) * slotBytes];  // of what comes, and of what is kept
};

}  // namespace leadscomm

#endif
