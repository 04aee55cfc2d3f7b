/* The virtual board's program: options, and the loop that couples simulated time to real time. See board.h.
 *
 * Simulated time goes on in slices of 200 us, without pace of 500 us. With pace on a slice is simulated when its
 * beginning has come in real time, so that nothing happens more than a slice too early; what the host sends meanwhile
 * is put on the wire at the slice's end. Where this machine cannot keep up, simulated time falls behind; it does not
 * hurry afterwards.
 */
#include "chip.h"
#include "clock.h"
#include "control.h"
#include "line.h"
#include "port.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLICES_A_SECOND 5000
#define FAST_SLICES_A_SECOND 2000
#define NS 1000000000ll
#define MOST_BEHIND_NS (20 * NS / 1000)
#define IDLE_NS (2 * NS / 1000)

static struct board board;

/* Wait for so long, or for a command or bytes of the host; 0 only looks. */
static void wait_ns(struct board *b, int64_t ns) {
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = port_fd(b), .events = POLLIN}};
    struct timespec timeout = {.tv_sec = ns / NS, .tv_nsec = ns % NS};
    if (ppoll(fds, 2, &timeout, NULL) > 0 && fds[0].revents)
        control_read(b);
    port_look(b);
}

/* Wait until real time has come to where simulated time is. */
static void keep_pace(struct board *b) {
    int64_t due = b->due_ns + (int64_t)((b->avr->cycle - b->due_cycle) * NS / b->frequency), now = now_ns();
    b->due_ns = now - due > MOST_BEHIND_NS ? now : due;
    b->due_cycle = b->avr->cycle;
    for (; now < b->due_ns && b->powered && !b->ended; now = now_ns())
        wait_ns(b, b->due_ns - now);
}

static void live(struct board *b) {
    pid_t parent = getppid();
    avr_cycle_count_t slice = b->frequency / (b->pace ? SLICES_A_SECOND : FAST_SLICES_A_SECOND);
    for (;;) {
        if (b->powered && !b->ended) {
            chip_run(b, b->avr->cycle + slice);
            port_flush(b);
            control_ran(b);
            if (b->pace)
                keep_pace(b);
            wait_ns(b, 0);
        } else {
            control_ran(b);
            wait_ns(b, IDLE_NS);
        }
        if (getppid() != parent)
            exit(0);
    }
}

static const struct option OPTIONS[] = {
    {"mcu", required_argument, NULL, 'm'},
    {"frequency", required_argument, NULL, 'f'},
    {"transport", required_argument, NULL, 't'},
    {"tcp-port", required_argument, NULL, 'n'},
    {"link", required_argument, NULL, 'l'},
    {"baud", required_argument, NULL, 'b'},
    {"depth", required_argument, NULL, 'd'},
    {"eeprom", required_argument, NULL, 'e'},
    {"seed", required_argument, NULL, 's'},
    {"fast", no_argument, NULL, 'q'},
    {"no-reset-on-open", no_argument, NULL, 'r'},
    {"no-baud-check", no_argument, NULL, 'c'},
    {NULL, 0, NULL, 0},
};

static void read_options(struct board *b, int argc, char **argv, const char **mcu, const char **eeprom) {
    uint64_t seed = 0;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;)
        switch (option) {
        case 'm': *mcu = optarg; break;
        case 'f': b->frequency = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': b->port.transport = strcmp(optarg, "tcp") ? PTY : TCP; break;
        case 'n': b->port.number = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'l': b->port.link = optarg; break;
        case 'b': b->initial_baud = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'd': b->uart.depth = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'e': *eeprom = optarg; break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 'q': b->pace = false; break;
        case 'r': b->reset_on_open = false; break;
        case 'c': b->baud_check = false; break;
        default: exit(2);
        }
    if (!b->frequency || !b->initial_baud || !b->uart.depth || b->uart.depth > MAX_DEPTH) {
        fputs("an option is out of range\n", stderr);
        exit(2);
    }
    line_make(&b->line, seed);
}

int main(int argc, char **argv) {
    const char *mcu = "atmega328p", *eeprom = NULL;
    board.frequency = 16000000;
    board.initial_baud = 115200;
    board.uart.depth = 3;
    board.pace = board.reset_on_open = board.baud_check = true;
    read_options(&board, argc, argv, &mcu, &eeprom);
    control_make();
    board.uart.sent = line_sent;
    board.line.to_host = port_put;
    if (!chip_make(&board, mcu, eeprom)) {
        fprintf(stderr, "libsimavr cannot be used for %s\n", mcu);
        return 1;
    }
    if (!port_plug(&board)) {
        fprintf(stderr, "no port: %s\n", strerror(errno));
        return 1;
    }
    control_say("ready %s", board.port.name);
    live(&board);
}
