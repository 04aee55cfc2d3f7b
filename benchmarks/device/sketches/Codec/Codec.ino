// How many cycles 64 bytes take through a Stream: bare, encoded and decoded. Each section lies between two marks, and
// is followed by one whose result is checked: 0xE0 if it was right, 0xEE if not.

#include <LeadsComm.h>

static const size_t SIZE = 64;

// A stream whose bytes lie in memory, and whose methods are virtual, as those of every Stream are.
class Memory : public Stream {
 public:
  int available() override { return written_ - read_; }
  int read() override { return read_ < written_ ? bytes_[read_++] : -1; }
  int peek() override { return read_ < written_ ? bytes_[read_] : -1; }
  int availableForWrite() override { return sizeof bytes_ - written_; }
  size_t write(uint8_t byte) override {
    bytes_[written_++] = byte;  // two frames have room: no bounds to look at, which would be measured, too
    return 1;
  }
  size_t write(const uint8_t* bytes, size_t size) override {  // as WiFiClient and EthernetClient have one
    memcpy(bytes_ + written_, bytes, size);
    written_ += size;
    return size;
  }
  void clear() { read_ = written_ = 0; }

 private:
  uint8_t bytes_[128];
  uint8_t read_ = 0;
  uint8_t written_ = 0;
};

Memory memory;
leadscomm::DatagramConnection<SIZE> host(memory);
uint8_t sent[SIZE];
uint8_t received[SIZE];

static inline void mark(uint8_t section) {
  asm volatile("" ::: "memory");
  GPIOR0 = section;
  asm volatile("" ::: "memory");
}

void check(bool right) { mark(right ? 0xE0 : 0xEE); }

void __attribute__((noinline)) bare(Stream& stream) {
  mark(1);
  for (size_t at = 0; at < SIZE; ++at) stream.write(sent[at]);
  mark(2);
  uint8_t* next = received;
  mark(3);
  while (stream.available()) *next++ = uint8_t(stream.read());
  mark(4);
  check(next == received + SIZE && memcmp(sent, received, SIZE) == 0);
}

void coded() {
  mark(5);
  bool went = host.send(sent, SIZE) == leadscomm::Status::Sent;
  mark(6);
  check(went);
  mark(7);
  bool came = host.poll();
  mark(8);
  check(came && host.size() == SIZE && memcmp(sent, host.data(), SIZE) == 0);
}

void setup() {
  uint16_t random = 1;
  noInterrupts();  // the timer would be measured, too
  for (uint8_t round = 0; round < 20; ++round) {
    for (size_t at = 0; at < SIZE; ++at) sent[at] = uint8_t((random = random * 25173u + 13849u) >> 8);
    memory.clear();
    bare(memory);
    memory.clear();
    coded();
  }
  mark(0xFF);
}

void loop() {}
