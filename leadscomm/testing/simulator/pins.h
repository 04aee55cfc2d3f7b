#ifndef LEADSCOMM_PINS_H
#define LEADSCOMM_PINS_H

#include "board.h"

void pins_make(struct board *b);
void pins_reset(struct board *b);
bool pins_drive(struct board *b, char port, int bit, int level);
int pins_level(struct board *b, char port, int bit);
bool pins_pulse(struct board *b, char port, int bit, struct pulse *pulse);
bool pins_analog(struct board *b, unsigned channel, uint32_t millivolts);

#endif
