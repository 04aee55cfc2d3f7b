#ifndef LEADSCOMM_TERMIOS2_H
#define LEADSCOMM_TERMIOS2_H

#include <stdbool.h>

bool termios_make_raw(int fd, unsigned baud);
unsigned termios_baud(int fd);
bool termios_forget_input(int fd);

#endif
