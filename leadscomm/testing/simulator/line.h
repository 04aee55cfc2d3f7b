#ifndef LEADSCOMM_LINE_H
#define LEADSCOMM_LINE_H

#include "board.h"

void line_make(struct line *l, uint64_t seed);
size_t line_room(const struct line *l);
void line_from_host(struct board *b, const uint8_t *bytes, size_t length);
void line_forget(struct line *l);
void line_wake(struct board *b);
void line_resume(struct board *b);
void line_sent(struct board *b, uint8_t byte);

#endif
