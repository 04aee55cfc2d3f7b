// Tags, and the two words of LEADS text that are for the library, not for the sketch.

#ifndef LEADSCOMM_WORDS_H
#define LEADSCOMM_WORDS_H

#include <stdint.h>

namespace leadscomm {

// How long a tag is, if no more than `most` bytes of it are taken.
inline uint8_t sizeOfTag(const char* tag, uint8_t most) {
  uint8_t size = 0;
  while (size < most && *tag++ != 0) ++size;
  return size;
}

// "Who are you?" The answer is the tag.
inline bool isQuestion(const uint8_t* text, uint8_t size) { return size == 2 && text[0] == 'i' && text[1] == 'c'; }

// "I leave." Letter by letter, since a string in a program for an AVR takes RAM.
inline bool isFarewell(const uint8_t* text, uint8_t size) {
  return size == 10 && text[0] == 'd' && text[1] == 'i' && text[2] == 's' && text[3] == 'c' && text[4] == 'o' &&
         text[5] == 'n' && text[6] == 'n' && text[7] == 'e' && text[8] == 'c' && text[9] == 't';
}

}  // namespace leadscomm

#endif
