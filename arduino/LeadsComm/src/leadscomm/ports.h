// What connections speak through. A port is anything with the four methods of Arduino's Stream that are used here:
//
//   int available();                              how many bytes read() has
//   int read();                                   the next one
//   int availableForWrite();                      how many bytes write() takes without waiting
//   size_t write(const uint8_t* data, size_t n);  how many it took
//
// A Stream is one. The classes of this file make ports of what is none.

#ifndef LEADSCOMM_PORTS_H
#define LEADSCOMM_PORTS_H

#include <stddef.h>
#include <stdint.h>

namespace leadscomm {

// A stream that never says that it has room: the default of Arduino's Print, and so of many Wi-Fi clients. Its write()
// takes everything, and may wait: so may poll() and send() then.
template <class Stream>
class WaitingPort {
 public:
  explicit WaitingPort(Stream& stream) : stream_(stream) {}

  int available() { return stream_.available(); }
  int read() { return stream_.read(); }
  int availableForWrite() { return 255; }
  size_t write(const uint8_t* data, size_t size) { return stream_.write(data, size); }

 private:
  Stream& stream_;
};

// Arduino's UDP. Each frame is one packet; it goes to whom the last packet came from. Before the first one nobody is
// there, and nothing is sent. The host's side is udp://board:port?framing=cobs&crc=crc-ccitt-false and the like.
template <class Udp>
class UdpPort {
 public:
  explicit UdpPort(Udp& udp) : udp_(udp), heard_(false) {}

  int available() {
    int left = udp_.available();
    if (left > 0) return left;
    int size = udp_.parsePacket();
    if (udp_.remotePort()) heard_ = true;
    return size > 0 ? udp_.available() : 0;
  }

  int read() { return udp_.read(); }
  int availableForWrite() { return heard_ ? 255 : 0; }

  size_t write(const uint8_t* data, size_t size) {
    if (!udp_.beginPacket(udp_.remoteIP(), udp_.remotePort())) return 0;
    udp_.write(data, size);
    return udp_.endPacket() ? size : 0;
  }

 private:
  Udp& udp_;
  bool heard_;
};

}  // namespace leadscomm

#endif
