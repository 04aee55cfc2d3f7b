#ifndef LEADSCOMM_CHIP_H
#define LEADSCOMM_CHIP_H

#include "board.h"

bool chip_make(struct board *b, const char *mcu, const char *eeprom_file);
void chip_power(struct board *b, bool on);
void chip_reset(struct board *b);
void chip_run(struct board *b, avr_cycle_count_t until);
const char *chip_state(const struct board *b);
uint8_t *chip_memory(struct board *b, const char *space, size_t *size);
unsigned chip_ram_used(struct board *b);

#endif
