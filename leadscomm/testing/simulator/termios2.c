/* The settings of a terminal with any number as baud rate. A file of its own, since <asm/termbits.h> and <termios.h>
 * cannot be had together. What is asked of a pty's master is answered for its slave: that is what the host has set.
 */
#include "termios2.h"

#include <asm/termbits.h>
#include <string.h>
#include <sys/ioctl.h>

bool termios_make_raw(int fd, unsigned baud) {
    struct termios2 settings;
    if (ioctl(fd, TCGETS2, &settings))
        return false;
    settings.c_iflag = settings.c_oflag = settings.c_lflag = 0;
    settings.c_cflag = CS8 | CREAD | CLOCAL | BOTHER;
    settings.c_ispeed = settings.c_ospeed = baud;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    return !ioctl(fd, TCSETS2, &settings);
}

/* 0 if it cannot be told. */
unsigned termios_baud(int fd) {
    struct termios2 settings;
    return ioctl(fd, TCGETS2, &settings) ? 0 : settings.c_ospeed;
}

bool termios_forget_input(int fd) { return !ioctl(fd, TCFLSH, TCIFLUSH); }
