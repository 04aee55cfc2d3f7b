/* The virtual board: an AVR microcontroller run by libsimavr, and what stands around it on an Arduino board.
 *
 *   main.c     options, and the loop that couples simulated time to real time
 *   control.c  the commands that come on standard input, and their answers (the protocol is described there)
 *   port.c     the host's end: a pseudo terminal, or a TCP port
 *   chip.c     power, resets, memories, marks, crashes
 *   line.c     the two wires between UART and host: pace, faults, and what a wrong baud rate makes of a byte
 *   uart.c     the serial interface of the chip, instead of simavr's: exact times, and a receiver that overruns
 *   pins.c     digital pins and analog inputs
 *   pwm.c      PWM that simavr does not make
 *   termios2.c the baud rate that the host has set
 *   clock.c    real time
 *
 * Each calls those below it alone. A byte of the firmware goes the other way, by what main.c has put into the board:
 * `sent` of the UART, and `to_host` of the line. This file is the state of all; a header of its own says what is called
 * in each.
 *
 * One thread does all. Times are cycles of the simulated clock unless a name says otherwise.
 */
#ifndef LEADSCOMM_BOARD_H
#define LEADSCOMM_BOARD_H

#include <simavr/sim_avr.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/avr_watchdog.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKS 65536       /* the newest ones are kept */
#define QUEUE 65536       /* bytes from the host that wait for the wire */
#define OUT 65536         /* bytes for the host that its system has not taken */
#define MAX_DEPTH 64
#define CHANNELS 16
#define PORTS 12          /* A to L */
#define UNDRIVEN 2

struct board;

struct counters {
    uint64_t to_board, from_board;      /* bytes that the host sent, and the firmware */
    uint64_t overruns, framing_errors;  /* in the chip's receiver */
    uint64_t flipped, dropped, duplicated, inserted;  /* faults, both ways */
    uint64_t garbled;                   /* bytes sent while the baud rates of the two sides differed */
    uint64_t unread;                    /* bytes of the firmware that no host took */
    uint64_t resets, watchdog_resets, opens;
};

struct uart {
    avr_t *avr;
    avr_uart_t *map;                    /* simavr's own: its registers, bits and vectors; nothing else of it is used */
    struct { uint8_t byte; bool framing_error; } received[MAX_DEPTH];  /* the oldest first */
    unsigned held, depth;
    bool sending, waiting;              /* the shift register, and the buffer before it, hold a byte */
    uint8_t shifted, buffered;
    void (*sent)(struct board *b, uint8_t byte);     /* told at the end of each byte's stop bit */
};

struct faults {
    double flip, drop, duplicate, insert;  /* probability for each byte */
    uint64_t random;
};

/* What a receiver with another clock makes of the sender's bits. */
struct sampler {
    double next;       /* when the next bit is looked at, in bits of the sender since the present byte began */
    int bit;           /* -1: waits for a start bit; 0 to 7: data; 8: stop bit */
    bool level;        /* the last level before the present byte */
    uint8_t byte;
};

struct line {
    uint8_t queue[QUEUE];
    size_t first, length;
    struct { uint8_t byte; bool framing_error; } next[16];  /* what the byte at the head of the queue became */
    unsigned ready, taken;
    bool busy;                          /* a byte is on the wire to the board */
    avr_cycle_count_t until;            /* when it has arrived */
    bool lost;                          /* nobody listens: the byte only takes its time */
    struct sampler down, up;
    struct faults to_board, from_board;
    unsigned host_baud;                 /* 0: unknown */
    void (*to_host)(struct board *b, uint8_t byte);  /* told of each byte that the wire hands over */
};

struct pulse {
    avr_cycle_count_t rose, high, period;  /* when it began, how long it lasted, how long after the one before */
};

struct pins {
    avr_ioport_t *port;
    uint8_t seen;                       /* the levels at the last changes */
    struct pulse pulse[8];
};

enum transport { PTY, TCP };

struct port {
    enum transport transport;
    bool plugged, open;
    int fd;                             /* the pty's master, or the TCP connection; -1: none */
    int listener, watch, openers;
    int64_t seen_open_ns;               /* since when the pty is open, as far as its master tells */
    uint16_t number;                    /* of the TCP port */
    char name[108];
    const char *link;                   /* a symbolic link to the pty, or NULL */
    uint8_t out[OUT];
    size_t pending;
};

struct board {
    avr_t *avr;
    avr_io_t module;                    /* told by simavr of resets */
    avr_eeprom_t *eeprom;
    avr_watchdog_t *watchdog;
    avr_io_write_t write_watchdog;      /* simavr's own handler */
    struct uart uart;
    struct line line;
    struct port port;
    struct pins pins[PORTS];
    avr_adc_t *adc;
    avr_adc_mux_t mux[64];              /* as the chip has it */
    uint32_t millivolts[CHANNELS];
    struct counters count;
    struct { uint8_t mark; avr_cycle_count_t cycle; } marks[MARKS];
    uint64_t marked;
    uint32_t frequency;                 /* of the chip, in Hz */
    unsigned initial_baud;              /* of the port, until the host sets another */
    bool pace, reset_on_open, baud_check;
    bool powered;
    bool restarting;                    /* a reset is under way that is not the watchdog's */
    bool ended;                         /* the firmware has crashed, or sleeps for ever: `state` */
    char state[400];
    avr_cycle_count_t stop_at;          /* a `run` command waits for it; 0: none does */
    unsigned long run_number;           /* of that command */
    avr_cycle_count_t due_cycle;        /* pace: this cycle belongs to this real time */
    int64_t due_ns;
};

#endif
