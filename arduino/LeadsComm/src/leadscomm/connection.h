// Datagrams with a name, in both languages.

#ifndef LEADSCOMM_CONNECTION_H
#define LEADSCOMM_CONNECTION_H

#include "named.h"

namespace leadscomm {

// Says nothing before it has heard its host. The host's side is framing=board, or no framing option at all (LEADS text).
template <size_t Payload, class Port, class Platform>
class BasicConnection : public Named<BasicConnection<Payload, Port, Platform>, Payload, Port, Platform> {
  typedef Named<BasicConnection, Payload, Port, Platform> Base;
  friend Base;
  friend Wire<BasicConnection, Payload, Port, Platform>;

 public:
  BasicConnection(Port& port, const char* tag) : Base(port, tag) {}

  Status send(const void* data, size_t size) {
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    if (this->text()) return this->sendText(bytes, size);
    if (!connected()) return Status::NotConnected;
    if (size > Payload) return Status::TooLong;
    return this->write(0, bytes, uint8_t(size)) ? Status::Sent : Status::Full;
  }

  bool connected() const { return this->language_ != Language::Unheard; }
  uint32_t session() const { return connected(); }

 private:
  static const uint8_t profiles = 0;

  void onText() {}
  void onHello(const uint8_t*) {}

  bool onSessionFrame(uint8_t header, uint8_t size) { return header < 0x40 && this->deliver(Base::payloadAt, size); }

  void fill(uint8_t* welcome) {
    memset(welcome + Handshake::Longest, 0, Handshake::TagSize - Handshake::Longest);
    welcome[Handshake::Longest] = Payload;
  }
};

}  // namespace leadscomm

#endif
