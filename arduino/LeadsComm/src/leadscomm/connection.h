// Datagrams with a name, in both languages.

#ifndef LEADSCOMM_CONNECTION_H
#define LEADSCOMM_CONNECTION_H

#include "named.h"

namespace leadscomm {

// Says nothing before it has heard its host. The host's side is framing=board, or no framing option at all (LEADS
// text).
template <size_t Payload, class Port, class Platform>
class BasicConnection : public Named<BasicConnection<Payload, Port, Platform>, Payload, Port, Platform, true, false> {
  typedef Named<BasicConnection, Payload, Port, Platform, true, false> Base;
  friend Base;
  friend Wire<BasicConnection, Payload, Port, Platform, false, NamedState>;

 public:
  BasicConnection(Port& port, const char* tag) : Base(port, tag) {}

  Status send(const void* data, size_t size) {
    const uint8_t* payload = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(payload, size);
    if (!connected()) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    return write(Header::Datagram, payload, uint8_t(size)) ? Status::Sent : Status::Full;
  }

  bool connected() const { return this->language() != Language::Unheard; }
  uint32_t session() const { return connected(); }

 private:
  static const bool refuses = true;
  static const uint8_t profiles = 0;
  static const size_t longest = Payload;

  bool write(uint8_t header, const uint8_t* payload, uint8_t size) {
    return this->outlet_.writeFrame(header, payload, size);
  }

  bool onSessionFrame(uint8_t header, uint8_t size) {
    return header < Header::Data && this->deliver(size);
  }

  bool answerWith(uint8_t header, uint8_t size) {
    write(header, received_ + Base::payloadAt, size);
    return false;
  }

  static uint8_t clock() { return uint8_t(Platform::now()); }
  void onText() {}
  bool onMissing() { return true; }
  void onHeard() {}
  void onHello(const uint8_t*) {}
  void complete(uint8_t* welcome) { memset(welcome + Handshake::Resend, 0, Handshake::TagSize - Handshake::Resend); }

  uint8_t received_[Base::receivedBytes + 1];
};

}  // namespace leadscomm

#endif
