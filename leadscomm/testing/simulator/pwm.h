#ifndef LEADSCOMM_PWM_H
#define LEADSCOMM_PWM_H

#include "board.h"

bool pwm_at(struct board *b, const avr_ioport_t *port, int bit, struct pulse *pulse);

#endif
