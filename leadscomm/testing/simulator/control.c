/* Commands on standard input, one a line, and one line on standard output for each. A number that the asker chose is
 * the first word of both, so that he can give up waiting for an answer and still know the next one:
 *
 *   7 level B 5                  7 ok 1
 *
 * The commands:
 *
 *   poke SPACE ADDRESS HEX       ok                 write to "flash", "ram" or "eeprom"; numbers are decimal
 *   peek SPACE ADDRESS LENGTH    ok HEX             read from there
 *   power ENTRY                  ok                 power on; the program counter starts at ENTRY in every reset
 *   reset                        ok                 as the button does
 *   unplug                       ok                 the port is gone, and the power with it
 *   plug                         ok NAME            the port is back, perhaps with another name
 *   faults DIRECTION FLIP DROP DUPLICATE INSERT     ok    "to", "from" or "both"; probabilities for each byte
 *   drive PORT BIT LEVEL         ok                 hold a pin at 0 or 1; 2: let it go
 *   level PORT BIT               ok LEVEL           0 or 1
 *   pulse PORT BIT               ok HIGH PERIOD     the last pulse, in cycles
 *   analog CHANNEL MILLIVOLTS    ok
 *   marks                        ok CYCLE:MARK ...  the newest 65,536 values that were written to GPIOR0
 *   forget                       ok                 forget them
 *   counters                     ok NAME=NUMBER ... see `counters` in board.h, and others
 *   state                        ok TEXT            "running", "off", "crashed: ..." or "asleep ..."
 *   run CYCLES                   ok                 answered when so many more have passed, or the firmware has ended
 *
 * What cannot be done is answered by "error" and a reason. Before all of these the program writes "0 ready NAME". It
 * ends when standard input does, and so with the process that started it.
 */
#include "control.h"
#include "chip.h"
#include "line.h"
#include "pins.h"
#include "port.h"
#include "uart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 8192

static FILE *answers;
static unsigned long number;  /* of the command that is answered */

/* Answers get standard output for themselves: what libsimavr prints here and there goes to standard error. */
void control_make(void) {
    answers = fdopen(dup(STDOUT_FILENO), "w");
    if (!answers || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0) {
        perror("standard input and output");
        exit(1);
    }
}

static void begin(void) { fprintf(answers, "%lu ok", number); }

static void end(void) {
    putc('\n', answers);
    fflush(answers);
}

/* An answer of one piece. */
void control_say(const char *format, ...) {
    va_list arguments;
    fprintf(answers, "%lu ", number);
    va_start(arguments, format);
    vfprintf(answers, format, arguments);
    va_end(arguments);
    end();
}

static void refuse(const char *why) { control_say("error %s", why); }

static void agree(bool done, const char *otherwise) {
    if (done)
        control_say("ok");
    else
        refuse(otherwise);
}

static void poke(struct board *b, const char *rest) {
    char space[16];
    size_t size, address;
    int used = 0;
    if (sscanf(rest, "%15s %zu %n", space, &address, &used) < 2 || !used) {
        refuse("poke SPACE ADDRESS HEX");
        return;
    }
    uint8_t *memory = chip_memory(b, space, &size);
    unsigned byte;
    for (const char *hex = rest + used; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        if (!memory || address >= size) {
            refuse("no such address");
            return;
        }
        memory[address++] = (uint8_t)byte;
    }
    control_say("ok");
}

static void peek(struct board *b, const char *rest) {
    char space[16];
    size_t size = 0, address, length;
    uint8_t *memory = NULL;
    if (sscanf(rest, "%15s %zu %zu", space, &address, &length) == 3)
        memory = chip_memory(b, space, &size);
    if (!memory || address > size || length > size - address) {
        refuse("no such address");
        return;
    }
    begin();
    putc(' ', answers);
    for (size_t i = 0; i < length; i++)
        fprintf(answers, "%02x", memory[address + i]);
    end();
}

static void power(struct board *b, const char *rest) {
    b->avr->reset_pc = (avr_flashaddr_t)strtoul(rest, NULL, 10);
    chip_power(b, true);
    control_say("ok");
}

static void reset(struct board *b, const char *rest) {
    (void)rest;
    chip_reset(b);
    agree(b->powered, "there is no power");
}

static void unplug(struct board *b, const char *rest) {
    (void)rest;
    port_unplug(b);
    line_forget(&b->line);
    chip_power(b, false);
    control_say("ok");
}

static void plug(struct board *b, const char *rest) {
    (void)rest;
    if (!b->port.plugged && !port_plug(b)) {
        control_say("error %s", strerror(errno));
        return;
    }
    chip_power(b, true);
    control_say("ok %s", b->port.name);
}

static void faults(struct board *b, const char *rest) {
    char direction[8];
    struct faults f;
    if (sscanf(rest, "%7s %lf %lf %lf %lf", direction, &f.flip, &f.drop, &f.duplicate, &f.insert) != 5) {
        refuse("faults DIRECTION FLIP DROP DUPLICATE INSERT");
        return;
    }
    struct faults *both[] = {&b->line.to_board, &b->line.from_board};
    for (int i = 0; i < 2; i++)
        if (!strcmp(direction, "both") || !strcmp(direction, i ? "from" : "to")) {
            f.random = both[i]->random;
            *both[i] = f;
        }
    control_say("ok");
}

static void drive(struct board *b, const char *rest) {
    char port;
    int bit, level;
    agree(sscanf(rest, " %c %d %d", &port, &bit, &level) == 3 && pins_drive(b, port, bit, level), "no such pin");
}

static void level(struct board *b, const char *rest) {
    char port;
    int bit, found = -1;
    if (sscanf(rest, " %c %d", &port, &bit) == 2)
        found = pins_level(b, port, bit);
    if (found < 0)
        refuse("no such pin");
    else
        control_say("ok %d", found);
}

static void pulse(struct board *b, const char *rest) {
    char port;
    int bit;
    struct pulse found;
    if (sscanf(rest, " %c %d", &port, &bit) == 2 && pins_pulse(b, port, bit, &found))
        control_say("ok %llu %llu", (unsigned long long)found.high, (unsigned long long)found.period);
    else
        refuse("no such pin");
}

static void analog(struct board *b, const char *rest) {
    unsigned channel, millivolts;
    agree(sscanf(rest, "%u %u", &channel, &millivolts) == 2 && pins_analog(b, channel, millivolts), "no such input");
}

static void marks(struct board *b, const char *rest) {
    (void)rest;
    begin();
    for (uint64_t i = b->marked > MARKS ? b->marked - MARKS : 0; i < b->marked; i++)
        fprintf(answers, " %llu:%u", (unsigned long long)b->marks[i % MARKS].cycle, b->marks[i % MARKS].mark);
    end();
}

static void forget(struct board *b, const char *rest) {
    (void)rest;
    b->marked = 0;
    control_say("ok");
}

static void counters(struct board *b, const char *rest) {
    const struct counters *c = &b->count;
    const struct { const char *name; uint64_t value; } all[] = {
        {"to_board", c->to_board}, {"from_board", c->from_board}, {"unread", c->unread}, {"overruns", c->overruns},
        {"framing_errors", c->framing_errors}, {"garbled", c->garbled}, {"flipped", c->flipped},
        {"dropped", c->dropped}, {"duplicated", c->duplicated}, {"inserted", c->inserted}, {"opens", c->opens},
        {"resets", c->resets}, {"watchdog_resets", c->watchdog_resets}, {"marks", b->marked},
        {"cycles", b->avr->cycle}, {"ram", chip_ram_used(b)}, {"baud", (uint64_t)(uart_baud(&b->uart) + 0.5)},
        {"open", b->port.open},
    };
    (void)rest;
    begin();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fprintf(answers, " %s=%llu", all[i].name, (unsigned long long)all[i].value);
    end();
}

static void state(struct board *b, const char *rest) {
    (void)rest;
    control_say("ok %s", chip_state(b));
}

static void run(struct board *b, const char *rest) {
    b->stop_at = b->avr->cycle + strtoull(rest, NULL, 10);
    b->run_number = number;
    control_ran(b);
}

/* Answer a `run` whose time has come. */
void control_ran(struct board *b) {
    if (b->stop_at && (b->avr->cycle >= b->stop_at || !b->powered || b->ended)) {
        b->stop_at = 0;
        number = b->run_number;
        control_say("ok");
    }
}

static const struct {
    const char *name;
    void (*run)(struct board *b, const char *rest);
} COMMANDS[] = {
    {"poke", poke}, {"peek", peek}, {"power", power}, {"reset", reset}, {"unplug", unplug}, {"plug", plug},
    {"faults", faults}, {"drive", drive}, {"level", level}, {"pulse", pulse}, {"analog", analog}, {"marks", marks},
    {"forget", forget}, {"counters", counters}, {"state", state}, {"run", run},
};

static void obey(struct board *b, char *line) {
    char *name;
    number = strtoul(line, &name, 10);
    name += strspn(name, " ");
    char *rest = name + strcspn(name, " ");
    if (*rest)
        *rest++ = 0;
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (!strcmp(name, COMMANDS[i].name)) {
            COMMANDS[i].run(b, rest);
            return;
        }
    refuse("unknown command");
}

/* Read what is there, and obey; end the program where standard input ends. */
void control_read(struct board *b) {
    static char line[LINE];
    static size_t held;
    ssize_t length = read(STDIN_FILENO, line + held, sizeof line - 1 - held);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || held + (size_t)length == sizeof line - 1) {
        port_unplug(b);
        exit(0);
    }
    held += (size_t)length;
    line[held] = 0;
    char *start = line;
    for (char *end; (end = strchr(start, '\n')); start = end + 1) {
        *end = 0;
        obey(b, start);
    }
    held -= (size_t)(start - line);
    memmove(line, start, held);
}
