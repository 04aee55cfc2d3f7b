/* The microcontroller: power, resets and their causes, memories, marks, and how firmware ends. */
#include "chip.h"
#include "line.h"
#include "pins.h"
#include "uart.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GPIOR0 0x3e        /* the same in all AVRs that we run */
#define AT_ONCE 8192       /* cycles */
#define RAM_PAINT 0xa5     /* in the RAM after power on; nobody writes it in long runs */
#define ADDRESSES 0x10000  /* simavr 1.6 does write where firmware wants to write beyond the RAM */

static char last_words[300];  /* what simavr said last */

static void remember(avr_t *avr, const int level, const char *format, va_list arguments) {
    char text[sizeof last_words];
    size_t length = 0;
    (void)avr;
    if (level > LOG_ERROR || !strncmp(format, "%s\n", 3))  /* the latter is a function's name */
        return;
    vsnprintf(text, sizeof text, format, arguments);
    for (const char *from = text; *from; from++) {
        if (*from == '\033')  /* a colour ends with its m */
            from += strcspn(from, "m");
        else if (*from >= ' ')
            last_words[length++] = *from;
        if (!*from)
            break;
    }
    last_words[length] = 0;
}

/* Marks */

static void write_mark(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    struct board *b = param;
    avr->data[address] = value;
    b->marks[b->marked % MARKS].mark = value;
    b->marks[b->marked % MARKS].cycle = avr->cycle;
    b->marked++;
}

/* Interrupts */

/* The chip takes four cycles, those with a program counter of three bytes five, to enter a handler; simavr none. */
static void on_handler(struct avr_irq_t *irq, uint32_t running, void *param) {
    avr_t *avr = param;
    (void)irq;
    if (running)
        avr->cycle += avr->address_size + 2u;
}

/* Watchdog */

/* simavr 1.6 goes on with the old time if firmware chooses another one while the watchdog runs. */
static void write_watchdog(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    struct board *b = param;
    uint8_t before = avr_regbit_get_array(avr, b->watchdog->wdp, 4);
    b->write_watchdog(avr, address, value, b->watchdog);
    if (avr_regbit_get_array(avr, b->watchdog->wdp, 4) != before)
        avr_ioctl(avr, AVR_IOCTL_WATCHDOG_RESET, NULL);
}

/* Resets */

/* simavr calls it in every reset, whatever its cause; it has stopped all timers. */
static void on_reset(avr_io_t *io) {
    struct board *b = (struct board *)((char *)io - offsetof(struct board, module));
    b->avr->run_cycle_limit = AT_ONCE;
    b->count.watchdog_resets += !b->restarting;
    b->count.resets += !b->restarting;
    uart_reset(&b->uart);
    pins_reset(b);
    line_resume(b);
}

static void restart(struct board *b, avr_regbit_t cause) {
    b->ended = false;
    last_words[0] = 0;
    b->restarting = true;
    avr_reset(b->avr);
    b->restarting = false;
    avr_regbit_set(b->avr, cause);
}

void chip_reset(struct board *b) {
    if (!b->powered)
        return;
    b->count.resets++;
    restart(b, b->avr->reset_flags.extrf);
}

void chip_power(struct board *b, bool on) {
    if (on && !b->powered) {
        memset(b->avr->data + b->avr->ioend + 1, RAM_PAINT, b->avr->ramend - b->avr->ioend);
        restart(b, b->avr->reset_flags.porf);
    }
    b->powered = on;
}

/* Running */

static void sleep_not(avr_t *avr, avr_cycle_count_t how_long) {  /* the main loop keeps time */
    (void)avr;
    (void)how_long;
}

static avr_cycle_count_t nothing(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr;
    (void)when;
    (void)param;
    return 0;
}

/* Whether a bootloader has gone to a program that is not there, and the processor runs through erased flash. It would come
   to the bootloader again, whose stack grows each time, until it lies where simavr has no memory. A real board is as deaf:
   it waits for its next reset. simavr goes on by itself for AT_ONCE cycles, which are fewer than such flash has words. */
static bool without_program(const avr_t *avr) {
    const uint8_t *flash = avr->flash;
    return flash[0] == 0xff && flash[1] == 0xff && flash[avr->pc] == 0xff && flash[avr->pc + 1] == 0xff;
}

void chip_run(struct board *b, avr_cycle_count_t until) {
    avr_t *avr = b->avr;
    line_wake(b);
    avr_cycle_timer_register(avr, until - avr->cycle, nothing, b);  /* a sleeping chip would sleep on */
    while (avr->cycle < until) {
        if (without_program(avr)) {
            avr->cycle += 1 + avr_cycle_timer_process(avr);
            continue;
        }
        int state = avr_run(avr);
        if (state == cpu_Running || state == cpu_Sleeping)
            continue;
        b->ended = true;
        if (state == cpu_Done)
            snprintf(b->state, sizeof b->state, "asleep with interrupts off, for ever");
        else
            snprintf(b->state, sizeof b->state, "crashed: %s",
                     last_words[0] ? last_words : "it ran beyond the end of the program memory");
        return;
    }
}

const char *chip_state(const struct board *b) { return !b->powered ? "off" : b->ended ? b->state : "running"; }

/* Memories */

uint8_t *chip_memory(struct board *b, const char *space, size_t *size) {
    if (!strcmp(space, "flash"))
        return *size = b->avr->flashend + 1, b->avr->flash;
    if (!strcmp(space, "ram"))
        return *size = b->avr->ramend + 1u, b->avr->data;
    if (!strcmp(space, "eeprom"))
        return *size = b->eeprom->size, b->eeprom->eeprom;
    return NULL;
}

/* Bytes of RAM that were ever written: all but the longest run that was not, between variables and stack. */
unsigned chip_ram_used(struct board *b) {
    unsigned longest = 0, run = 0, size = b->avr->ramend - b->avr->ioend;
    for (const uint8_t *at = b->avr->data + b->avr->ioend + 1; at <= b->avr->data + b->avr->ramend; at++) {
        run = *at == RAM_PAINT ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return size - longest;
}

/* The EEPROM is the file itself, so that it outlives this program however that ends. */
static bool map_eeprom(avr_eeprom_t *eeprom, const char *file) {
    struct stat found;
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || fstat(fd, &found))
        return false;
    bool fresh = !found.st_size;
    if (!fresh && found.st_size != eeprom->size) {
        fprintf(stderr, "%s has %lld bytes; the EEPROM has %u\n", file, (long long)found.st_size, eeprom->size);
        exit(1);
    }
    void *memory = MAP_FAILED;
    if (!fresh || !ftruncate(fd, eeprom->size))
        memory = mmap(NULL, eeprom->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return false;
    if (fresh)
        memset(memory, 0xff, eeprom->size);
    eeprom->eeprom = memory;
    return true;
}

static avr_io_t *module_of(avr_t *avr, const char *kind) {
    avr_io_t *io = avr->io_port;
    while (io && strcmp(io->kind, kind))
        io = io->next;
    return io;
}

bool chip_make(struct board *b, const char *mcu, const char *eeprom_file) {
    avr_global_logger_set(remember);
    avr_t *avr = b->avr = avr_make_mcu_by_name(mcu);
    if (!avr)
        return false;
    avr_init(avr);
    avr->frequency = b->frequency;
    avr->sleep = sleep_not;
    avr->data = realloc(avr->data, ADDRESSES);
    b->eeprom = (avr_eeprom_t *)module_of(avr, "eeprom");
    b->watchdog = (avr_watchdog_t *)module_of(avr, "watchdog");
    if (!avr->data || !b->eeprom || !b->watchdog || !uart_make(b))
        return false;
    b->write_watchdog = avr->io[AVR_DATA_TO_IO(b->watchdog->wdce.reg)].w.c;
    avr->io[AVR_DATA_TO_IO(b->watchdog->wdce.reg)].w.c = write_watchdog;
    avr->io[AVR_DATA_TO_IO(b->watchdog->wdce.reg)].w.param = b;
    if (eeprom_file && !map_eeprom(b->eeprom, eeprom_file)) {
        perror(eeprom_file);
        exit(1);
    }
    pins_make(b);
    avr_register_io_write(avr, GPIOR0, write_mark, b);
    for (int i = 0; i < avr->interrupts.vector_count; i++)
        avr_irq_register_notify(avr->interrupts.vector[i]->irq + AVR_INT_IRQ_RUNNING, on_handler, avr);
    b->module.kind = "board";
    b->module.reset = on_reset;
    avr_register_io(avr, &b->module);
    return true;
}
