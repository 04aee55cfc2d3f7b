// Written by python -m leadscomm.hardware.header leadscomm.hardware.companion; change it there.
#pragma once

#include <leadscomm/layout.h>

/// How an order ended.
enum class Status : uint8_t { Ok = 0, UnknownOrder = 1, BadLength = 2, BadPin = 3, BadValue = 4, Busy = 5 };

/// What a digital pin is.
enum class Mode : uint8_t { Input = 0, Pullup = 1, Output = 2 };

/// Who are you, and how are you?
struct Info {
  static constexpr uint8_t NUMBER = 0x80;
  static constexpr uint16_t LONGEST = 2;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request);
    return in.ok() && in.left() == 0;
  }
};

/// Say it again.
struct Echo {
  static constexpr uint8_t NUMBER = 0x81;
  static constexpr uint16_t LONGEST = 51;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t data_count;  ///< how many of data there are
  uint8_t data[48];

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request);
    if (data_count > 48) return false;
    out.u8(data_count).bytes(data, data_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(data_count);
    if (data_count > 48) return false;
    in.bytes(data, data_count);
    return in.ok() && in.left() == 0;
  }
};

/// What have you seen on the line?
struct Counters {
  static constexpr uint8_t NUMBER = 0x82;
  static constexpr uint16_t LONGEST = 2;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request);
    return in.ok() && in.left() == 0;
  }
};

/// Be called so from now on, also after a reset.
struct SetTag {
  static constexpr uint8_t NUMBER = 0x83;
  static constexpr uint16_t LONGEST = 27;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  char tag[24 + 1];  ///< 1 to 24 of the characters ! to ~ without : and ;

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request);
    const size_t tag_count = strlen(tag);
    if (tag_count > 24) return false;
    out.u8(tag_count).bytes(tag, tag_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request);
    const size_t tag_count = in.u8();
    if (tag_count > 24) return false;
    in.bytes(tag, tag_count);
    tag[tag_count] = 0;
    return in.ok() && in.left() == 0;
  }
};

/// Report these pins from now on, again and again.
struct SetReport {
  static constexpr uint8_t NUMBER = 0x84;
  static constexpr uint16_t LONGEST = 17;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t report;  ///< its name; an order with the name of a present report changes that one
  uint16_t period;  ///< milliseconds from one to the next; 0 ends the report
  uint16_t analog;  ///< bit 0: A0, bit 1: A1, ...
  uint8_t digital_count;  ///< how many of digital there are
  uint8_t digital[9];  ///< bit 0 of the first byte: pin 0, bit 1: pin 1, ...

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(report).u16(period).u16(analog);
    if (digital_count > 9) return false;
    out.u8(digital_count).bytes(digital, digital_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(report).u16(period).u16(analog).u8(digital_count);
    if (digital_count > 9) return false;
    in.bytes(digital, digital_count);
    return in.ok() && in.left() == 0;
  }
};

/// Make a pin an input or an output.
struct SetMode {
  static constexpr uint8_t NUMBER = 0x85;
  static constexpr uint16_t LONGEST = 4;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t pin;
  uint8_t mode;  ///< 0 input, 1 input with pull-up, 2 output

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(pin).u8(mode);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(pin).u8(mode);
    return in.ok() && in.left() == 0;
  }
};

/// Set an output, or the pull-up of an input.
struct Write {
  static constexpr uint8_t NUMBER = 0x86;
  static constexpr uint16_t LONGEST = 4;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t pin;
  bool level;

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(pin).u8(level);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(pin);
    level = in.u8() != 0;
    return in.ok() && in.left() == 0;
  }
};

/// Which level has a pin?
struct Read {
  static constexpr uint8_t NUMBER = 0x87;
  static constexpr uint16_t LONGEST = 3;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t pin;

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(pin);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(pin);
    return in.ok() && in.left() == 0;
  }
};

/// What voltage has an analog input?
struct ReadAnalog {
  static constexpr uint8_t NUMBER = 0x88;
  static constexpr uint16_t LONGEST = 3;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t channel;  ///< 0: A0

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(channel);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(channel);
    return in.ok() && in.left() == 0;
  }
};

/// Let a pin be high for a part of the time.
struct SetPwm {
  static constexpr uint8_t NUMBER = 0x89;
  static constexpr uint16_t LONGEST = 4;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t pin;
  uint8_t duty;  ///< 0 never, 255 always

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(pin).u8(duty);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(pin).u8(duty);
    return in.ok() && in.left() == 0;
  }
};

/// Hold a servo at a position.
struct SetServo {
  static constexpr uint8_t NUMBER = 0x8a;
  static constexpr uint16_t LONGEST = 5;  ///< bytes on the wire at most

  uint8_t request;  ///< chosen by the host, and repeated in the answer
  uint8_t pin;
  uint16_t width;  ///< of the pulse in microseconds, 500 to 2500; 0 lets go of the servo

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(pin).u16(width);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(pin).u16(width);
    return in.ok() && in.left() == 0;
  }
};

/// The answer to an order; more follows only if its status is 0 and the order asks for something.
struct Answer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 3;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status);
    return in.ok() && in.left() == 0;
  }
};

/// The answer to Info.
struct InfoAnswer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 30;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not
  uint8_t major;  ///< version of these messages
  uint8_t minor;
  uint32_t uptime;  ///< milliseconds since the start, modulo 2^32
  uint16_t free;  ///< bytes between the heap and the stack
  uint8_t pins;  ///< how many digital pins there are
  uint8_t channels;  ///< how many analog inputs there are
  char chip[16 + 1];  ///< ends with a zero

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status).u8(major).u8(minor).u32(uptime).u16(free).u8(pins).u8(channels);
    const size_t chip_count = strlen(chip);
    if (chip_count > 16) return false;
    out.u8(chip_count).bytes(chip, chip_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status).u8(major).u8(minor).u32(uptime).u16(free).u8(pins).u8(channels);
    const size_t chip_count = in.u8();
    if (chip_count > 16) return false;
    in.bytes(chip, chip_count);
    chip[chip_count] = 0;
    return in.ok() && in.left() == 0;
  }
};

/// The answer to Echo.
struct EchoAnswer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 52;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not
  uint8_t data_count;  ///< how many of data there are
  uint8_t data[48];

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status);
    if (data_count > 48) return false;
    out.u8(data_count).bytes(data, data_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status).u8(data_count);
    if (data_count > 48) return false;
    in.bytes(data, data_count);
    return in.ok() && in.left() == 0;
  }
};

/// The answer to Counters; all count since the start, modulo 2^16.
struct CountersAnswer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 13;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not
  uint16_t bad_frames;  ///< frames that came damaged
  uint16_t overruns;  ///< times that the receive ring was found full
  uint16_t resent;  ///< frames sent again
  uint16_t lost;  ///< messages that were not acknowledged when their session ended
  uint16_t unreported;  ///< reports that were left out, since the line was busy

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status).u16(bad_frames).u16(overruns).u16(resent).u16(lost)
       .u16(unreported);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status).u16(bad_frames).u16(overruns).u16(resent).u16(lost).u16(unreported);
    return in.ok() && in.left() == 0;
  }
};

/// The answer to Read.
struct LevelAnswer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 4;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not
  bool level;

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status).u8(level);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status);
    level = in.u8() != 0;
    return in.ok() && in.left() == 0;
  }
};

/// The answer to ReadAnalog.
struct AnalogAnswer {
  static constexpr uint8_t NUMBER = 0xc0;
  static constexpr uint16_t LONGEST = 5;  ///< bytes on the wire at most

  uint8_t request;  ///< that of the order
  uint8_t status;  ///< 0 carried out; else why not
  uint16_t raw;  ///< 0 to 1023: parts of the reference voltage

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(request).u8(status).u16(raw);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(request).u8(status).u16(raw);
    return in.ok() && in.left() == 0;
  }
};

/// What pins are like; a datagram.
struct Report {
  static constexpr uint8_t NUMBER = 0xc1;
  static constexpr uint16_t LONGEST = 49;  ///< bytes on the wire at most

  uint8_t report;  ///< its name
  uint32_t time;  ///< microseconds since the start, modulo 2^32
  uint8_t analog_count;  ///< how many of analog there are
  uint16_t analog[16];  ///< 0 to 1023 each, A0 first; those asked for only
  uint8_t digital_count;  ///< how many of digital there are
  uint8_t digital[9];  ///< bit 0 of the first byte: pin 0, as in SetReport; pins not asked for are 0

  bool write(leadscomm::Writer &out) const {
    out.u8(NUMBER).u8(report).u32(time);
    if (analog_count > 16) return false;
    out.u8(analog_count).array(analog, analog_count);
    if (digital_count > 9) return false;
    out.u8(digital_count).bytes(digital, digital_count);
    return out.ok();
  }

  bool read(leadscomm::Reader &in) {
    if (in.u8() != NUMBER) return false;
    in.u8(report).u32(time).u8(analog_count);
    if (analog_count > 16) return false;
    in.array(analog, analog_count).u8(digital_count);
    if (digital_count > 9) return false;
    in.bytes(digital, digital_count);
    return in.ok() && in.left() == 0;
  }
};
