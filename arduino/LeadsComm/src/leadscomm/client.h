// Callbacks, as on the Python side, over any connection.

#ifndef LEADSCOMM_CLIENT_H
#define LEADSCOMM_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

namespace leadscomm {

// All callbacks are called inside poll(), and may send. Those that are not set are not called.
template <class Connection>
class Client {
 public:
  explicit Client(Connection& connection)
      : onConnect(nullptr),
        onReceive(nullptr),
        onDisconnect(nullptr),
        onFail(nullptr),
        connection_(connection),
        session_(0),
        lost_(0) {}

  void (*onConnect)();
  void (*onReceive)(const uint8_t* data, size_t size);
  void (*onDisconnect)();
  void (*onFail)(Status why);

  Status send(const void* data, size_t size) { return connection_.send(data, size); }

  void poll() {
    bool message = connection_.poll();
    uint32_t session = connection_.session();
    if (session != session_) {
      if (session_) call(onDisconnect);
      if (lost_ != connection_.counters().lost && onFail) onFail(Status::Lost);
      lost_ = connection_.counters().lost;
      session_ = session;
      if (session_) call(onConnect);
    }
    if (message && onReceive) onReceive(connection_.data(), connection_.size());
  }

 private:
  static void call(void (*callback)()) {
    if (callback) callback();
  }

  Connection& connection_;
  uint32_t session_;  // 0: nobody; a new number for each session
  uint16_t lost_;
};

template <class Connection>
Client<Connection> makeClient(Connection& connection) {
  return Client<Connection>(connection);
}

}  // namespace leadscomm

#endif
