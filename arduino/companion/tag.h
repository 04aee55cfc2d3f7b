// The board's name, which outlasts resets.
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __AVR__
#include <avr/eeprom.h>
#endif

/// Kept in the first 28 bytes of the EEPROM: 'L' 'C', size, tag, and the sum of all these with the last byte is 0.
class Tag {
 public:
  static constexpr uint8_t LONGEST = 24;

  const char *text() const { return text_; }

  /// Reads it from the EEPROM; where none was written there it stays "companion".
  void load() {
#ifdef __AVR__
    uint8_t stored[SIZE];
    eeprom_read_block(stored, nullptr, SIZE);
    const uint8_t size = stored[2];
    if (stored[0] != 'L' || stored[1] != 'C' || size > LONGEST || sum(stored) != 0) return;
    if (!allowed(reinterpret_cast<const char *>(stored + 3), size)) return;
    memcpy(text_, stored + 3, size);
    text_[size] = 0;
#endif
  }

  /// Changes it for good; false if it is empty or holds what a tag may not. Takes 3 ms for each byte that changes.
  bool store(const char *tag) {
    const size_t size = strlen(tag);
    if (size > LONGEST || !allowed(tag, size)) return false;
    if (strcmp(tag, text_) == 0) return true;
    memcpy(text_, tag, size + 1);
#ifdef __AVR__
    uint8_t stored[SIZE] = {'L', 'C', static_cast<uint8_t>(size)};
    memcpy(stored + 3, tag, size);
    stored[SIZE - 1] = -sum(stored);
    eeprom_update_block(stored, nullptr, SIZE);
#endif
    return true;
  }

 private:
  static constexpr uint8_t SIZE = 3 + LONGEST + 1;

  static uint8_t sum(const uint8_t *stored) {
    uint8_t total = 0;
    for (uint8_t i = 0; i < SIZE; ++i) total += stored[i];
    return total;
  }

  /// LEADS's text language needs ':' and ';' for itself.
  static bool allowed(const char *tag, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      if (tag[i] <= ' ' || tag[i] > '~' || tag[i] == ':' || tag[i] == ';') return false;
    }
    return size > 0;
  }

  char text_[LONGEST + 1] = "companion";
};
