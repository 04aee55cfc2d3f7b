#ifndef LEADSCOMM_CONTROL_H
#define LEADSCOMM_CONTROL_H

#include "board.h"

void control_make(void);
void control_read(struct board *b);
void control_ran(struct board *b);
void control_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
