// Messages that are longer than a frame: they travel in pieces.

#ifndef LEADSCOMM_PIECES_H
#define LEADSCOMM_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "named.h"

namespace leadscomm {

// Puts the pieces that a ReliableConnection receives together, in a buffer of its own.
template <size_t Longest>
class Assembler {
 public:
  Assembler() : size_(0), session_(0), whole_(true), tooLong_(false) {}

  // Takes the connection's present message, right after poll(). True: a message is whole, in data() and size(), until
  // the next add(). One that gets too long is dropped, and the host is told; so is one whose session ended in the
  // middle.
  template <class Connection>
  bool add(Connection& connection) {
    if (!connection.reliable()) return false;
    if (whole_ || session_ != connection.session()) {
      session_ = connection.session();
      size_ = 0;
      tooLong_ = false;
    }
    whole_ = !connection.more();
    if (connection.size() > Longest - size_) {
      if (!tooLong_) connection.refuseLonger(Longest);
      tooLong_ = true;
    }
    if (tooLong_) return false;
    memcpy(buffer_ + size_, connection.data(), connection.size());
    size_ += connection.size();
    return whole_;
  }

  const uint8_t* data() const { return buffer_; }
  size_t size() const { return size_; }

 private:
  static_assert(Longest <= 65535, "the handshake has two bytes for it");

  size_t size_;
  uint32_t session_;
  bool whole_;  // the piece before was the last of its message
  bool tooLong_;
  uint8_t buffer_[Longest];
};

// Sends a long message in pieces. The message stays where it is, and must not change before it was handed over whole.
class LongMessage {
 public:
  LongMessage() : data_(nullptr), left_(0), session_(0), busy_(false) {}

  // A message in the middle of its pieces is not given up: false.
  bool begin(const void* data, size_t size) {
    if (busy_) return false;
    data_ = static_cast<const uint8_t*>(data);
    left_ = size;
    session_ = 0;
    busy_ = true;
    return true;
  }

  bool busy() const { return busy_; }

  // Hands over as many pieces as there is room for. Sent: all of them. Full: call it again after poll().
  // NotConnected: the session ended; what was begun is given up.
  template <class Connection>
  Status sendTo(Connection& connection) {
    if (!busy_) return Status::Sent;
    if (session_ && session_ != connection.session()) {
      busy_ = false;
      return Status::NotConnected;
    }
    session_ = connection.session();
    for (;;) {
      size_t size = left_ < connection.segment() ? left_ : connection.segment();
      bool more = size < left_;
      Status status = connection.send(data_, size, more);
      if (status != Status::Sent) {
        busy_ = status == Status::Full;
        return status;
      }
      data_ += size;
      left_ -= size;
      if (!more) {
        busy_ = false;
        return Status::Sent;
      }
    }
  }

 private:
  const uint8_t* data_;
  size_t left_;
  uint32_t session_;
  bool busy_;
};

}  // namespace leadscomm

#endif
