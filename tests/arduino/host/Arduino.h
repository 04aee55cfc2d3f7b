// As much of an Arduino core as the library uses, so that LeadsComm.h compiles for boards whose cores are not here.

#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

unsigned long millis();
unsigned long micros();

class Print {
 public:
  virtual ~Print() {}
  virtual size_t write(uint8_t byte) = 0;
  virtual size_t write(const uint8_t* data, size_t size) = 0;
  virtual int availableForWrite() { return 0; }
};

class Stream : public Print {
 public:
  virtual int available() = 0;
  virtual int read() = 0;
};

class HardwareSerial : public Stream {
 public:
  size_t write(uint8_t byte) override;
  size_t write(const uint8_t* data, size_t size) override;
  int availableForWrite() override;
  int available() override;
  int read() override;
  void begin(unsigned long baud);
};

extern HardwareSerial Serial;

#endif
