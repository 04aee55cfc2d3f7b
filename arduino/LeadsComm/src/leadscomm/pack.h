// Numbers in messages: little endian, without gaps, the same on every board and on the host. Never send a struct as it
// lies in memory: its layout differs between an AVR, an ESP32 and a computer.

#ifndef LEADSCOMM_PACK_H
#define LEADSCOMM_PACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace leadscomm {

// An unsigned integer with as many bytes as a number of the program has.
template <size_t Bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> {
  typedef uint8_t Type;
};
template <>
struct UnsignedOf<2> {
  typedef uint16_t Type;
};
template <>
struct UnsignedOf<4> {
  typedef uint32_t Type;
};
template <>
struct UnsignedOf<8> {
  typedef uint64_t Type;
};

// Writes into a buffer of the caller's. What does not fit is left out whole, and so is all that follows; ok() says so.
class Writer {
 public:
  Writer(uint8_t* buffer, size_t room) : buffer_(buffer), room_(room), size_(0), ok_(true) {}

  const uint8_t* data() const { return buffer_; }
  size_t size() const { return size_; }
  bool ok() const { return ok_; }

  Writer& u8(uint8_t value) { return number(value); }
  Writer& u16(uint16_t value) { return number(value); }
  Writer& u32(uint32_t value) { return number(value); }
  Writer& u64(uint64_t value) { return number(value); }
  Writer& i8(int8_t value) { return number(value); }
  Writer& i16(int16_t value) { return number(value); }
  Writer& i32(int32_t value) { return number(value); }
  Writer& i64(int64_t value) { return number(value); }
  Writer& f32(float value) { return number(value); }
  template <class Double>
  Writer& f64(Double value) {
    static_assert(sizeof(Double) == 8, "give a double; on this board it has four bytes: use f32");
    return number(value);
  }

  // Each element as a number of its type's size.
  template <class Number>
  Writer& array(const Number* values, size_t count) {
    if (!takes(count, sizeof(Number))) return *this;
    for (; count; --count) number(*values++);
    return *this;
  }

  Writer& bytes(const void* data, size_t size) {
    if (!takes(size, 1)) return *this;
    memcpy(buffer_ + size_, data, size);
    size_ += size;
    return *this;
  }

 private:
  bool takes(size_t count, size_t each) {
    if (count > (room_ - size_) / each) ok_ = false;
    return ok_;
  }

  template <class Number>
  Writer& number(Number value) {
    if (!takes(1, sizeof value)) return *this;
    typename UnsignedOf<sizeof value>::Type bits;
    memcpy(&bits, &value, sizeof bits);
    for (size_t at = 0; at < sizeof bits; ++at) buffer_[size_++] = uint8_t(bits >> 8 * at);
    return *this;
  }

  uint8_t* buffer_;
  size_t room_;
  size_t size_;
  bool ok_;
};

// Reads a message. Beyond its end nothing is read, now and later: variables keep their values, and ok() says so.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), left_(size), ok_(true) {}

  size_t left() const { return left_; }
  bool ok() const { return ok_; }

  Reader& u8(uint8_t& value) { return number(value); }
  Reader& u16(uint16_t& value) { return number(value); }
  Reader& u32(uint32_t& value) { return number(value); }
  Reader& u64(uint64_t& value) { return number(value); }
  Reader& i8(int8_t& value) { return number(value); }
  Reader& i16(int16_t& value) { return number(value); }
  Reader& i32(int32_t& value) { return number(value); }
  Reader& i64(int64_t& value) { return number(value); }
  Reader& f32(float& value) { return number(value); }
  template <class Double>
  Reader& f64(Double& value) {
    static_assert(sizeof(Double) == 8, "give a double; on this board it has four bytes: use f32");
    return number(value);
  }

  // The same as values; 0 beyond the end.
  uint8_t u8() { return next<uint8_t>(); }
  uint16_t u16() { return next<uint16_t>(); }
  uint32_t u32() { return next<uint32_t>(); }
  uint64_t u64() { return next<uint64_t>(); }
  int8_t i8() { return next<int8_t>(); }
  int16_t i16() { return next<int16_t>(); }
  int32_t i32() { return next<int32_t>(); }
  int64_t i64() { return next<int64_t>(); }
  float f32() { return next<float>(); }

  template <class Number>
  Reader& array(Number* values, size_t count) {
    if (!holds(count, sizeof(Number))) return *this;
    for (; count; --count) number(*values++);
    return *this;
  }

  Reader& bytes(void* data, size_t size) {
    if (!holds(size, 1)) return *this;
    memcpy(data, data_, size);
    data_ += size;
    left_ -= size;
    return *this;
  }

 private:
  bool holds(size_t count, size_t each) {
    if (count > left_ / each) ok_ = false;
    return ok_;
  }

  template <class Number>
  Number next() {
    Number value = 0;
    number(value);
    return value;
  }

  template <class Number>
  Reader& number(Number& value) {
    if (!holds(1, sizeof value)) return *this;
    typedef typename UnsignedOf<sizeof value>::Type Bits;
    Bits bits = 0;
    for (size_t at = 0; at < sizeof bits; ++at) bits |= Bits(Bits(*data_++) << 8 * at);
    left_ -= sizeof bits;
    memcpy(&value, &bits, sizeof bits);
    return *this;
  }

  const uint8_t* data_;
  size_t left_;
  bool ok_;
};

}  // namespace leadscomm

#endif
