/* The serial interface as the data sheet of the ATmega328P has it ("USART0").
 *
 * simavr's own counts 11 bits a byte and holds 64 received ones. Its registers' handlers are replaced by those below;
 * its map of registers and its interrupt vectors are used. A byte takes as many bits as the frame format says (10 for
 * 8N1). The receiver holds two bytes and a third in its shift register; the start bit of a fourth overwrites that one
 * and sets DOR. The transmitter holds one byte and a second in its shift register. RXC comes at the end of the stop
 * bit. A transmission begins at once, not at the next tick of the baud rate's clock.
 */
#include "uart.h"

#include <string.h>

static void keep(avr_t *avr, avr_io_addr_t address, avr_io_read_t read, avr_io_write_t write, void *param) {
    avr->io[AVR_DATA_TO_IO(address)].r.c = read;
    avr->io[AVR_DATA_TO_IO(address)].r.param = param;
    avr->io[AVR_DATA_TO_IO(address)].w.c = write;
    avr->io[AVR_DATA_TO_IO(address)].w.param = param;
}

/* An interrupt that lasts as long as its flag. A vector is never put into simavr's queue twice: it has 64 places. */
static void raise_while_set(avr_t *avr, avr_int_vector_t *vector) {
    if (!avr_regbit_get(avr, vector->raised) || !avr_regbit_get(avr, vector->enable))
        return;
    avr_int_pending_t *queue = &avr->interrupts.pending;
    for (unsigned i = queue->read; i != queue->write; i = (i + 1) % avr_int_pending_fifo_size)
        if (queue->buffer[i] == vector) {
            vector->pending = 1;
            if (avr->sreg[S_I] && !avr->interrupt_state)
                avr->interrupt_state = 1;
            if (avr->state == cpu_Sleeping)
                avr->state = cpu_Running;
            return;
        }
    avr_raise_interrupt(avr, vector);
}

static void set_flag(avr_t *avr, avr_int_vector_t *vector, bool set) {
    avr_regbit_setto(avr, vector->raised, set);
    if (set)
        raise_while_set(avr, vector);
    else
        vector->pending = 0;
}

static void on_return(struct avr_irq_t *irq, uint32_t running, void *param) {
    struct uart *u = param;
    (void)irq;
    if (!running) {
        raise_while_set(u->avr, &u->map->rxc);
        raise_while_set(u->avr, &u->map->udrc);
    }
}

/* Receiver */

static void show_received(struct uart *u) {
    avr_regbit_setto(u->avr, u->map->fe, u->held && u->received[0].framing_error);
    set_flag(u->avr, &u->map->rxc, u->held > 0);
}

bool uart_listens(const struct uart *u) { return avr_regbit_get(u->avr, u->map->rxen); }

/* A start bit is seen: what waits in a full receiver's shift register is lost. */
void uart_start_bit(struct board *b) {
    struct uart *u = &b->uart;
    if (u->held == u->depth) {
        u->held--;
        b->count.overruns++;
        avr_regbit_set(u->avr, u->map->dor);
        show_received(u);
    }
}

void uart_receive(struct board *b, uint8_t byte, bool framing_error) {
    struct uart *u = &b->uart;
    if (!uart_listens(u) || u->held == u->depth)
        return;
    b->count.framing_errors += framing_error;
    u->received[u->held].byte = byte;
    u->received[u->held++].framing_error = framing_error;
    show_received(u);
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t address, void *param) {
    struct uart *u = &((struct board *)param)->uart;
    if (u->held) {
        avr->data[address] = u->received[0].byte;
        u->held--;
        for (unsigned i = 0; i < u->held; i++)
            u->received[i] = u->received[i + 1];
        avr_regbit_clear(avr, u->map->dor);
        show_received(u);
    }
    return avr->data[address];
}

/* Transmitter */

static avr_cycle_count_t sent(avr_t *avr, avr_cycle_count_t when, void *param) {
    struct board *b = param;
    struct uart *u = &b->uart;
    u->sent(b, u->shifted);
    if (!u->waiting) {
        u->sending = false;
        avr_raise_interrupt(avr, &u->map->txc);
        return 0;
    }
    u->shifted = u->buffered;
    u->waiting = false;
    set_flag(avr, &u->map->udrc, true);
    return when + uart_frame_cycles(u);
}

static void write_data(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    struct board *b = param;
    struct uart *u = &b->uart;
    (void)address;
    if (!avr_regbit_get(avr, u->map->txen) || u->waiting)
        return;
    if (u->sending) {
        u->waiting = true;
        u->buffered = value;
        set_flag(avr, &u->map->udrc, false);
    } else {
        u->sending = true;
        u->shifted = value;
        avr_cycle_timer_register(avr, uart_frame_cycles(u), sent, b);
    }
}

/* Control and status */

static uint8_t bit_of(avr_regbit_t bit) { return (uint8_t)(bit.mask << bit.bit); }

static void write_status(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    struct uart *u = &((struct board *)param)->uart;
    uint8_t writable = bit_of(u->map->u2x) | 1;  /* the lowest bit is MPCM */
    avr->data[address] = (uint8_t)((avr->data[address] & ~writable) | (value & writable));
    if (value & bit_of(u->map->txc.raised))
        set_flag(avr, &u->map->txc, false);
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    struct uart *u = &((struct board *)param)->uart;
    uint8_t ninth = bit_of(u->map->rxb8);
    avr->data[address] = (uint8_t)((avr->data[address] & ninth) | (value & ~ninth));
    if (!uart_listens(u)) {
        u->held = 0;
        avr_regbit_clear(avr, u->map->dor);
        show_received(u);
    }
    raise_while_set(avr, &u->map->rxc);
    raise_while_set(avr, &u->map->udrc);
    raise_while_set(avr, &u->map->txc);
}

/* Times */

static unsigned bit_cycles(const struct uart *u) {
    unsigned divisor = avr_regbit_get(u->avr, u->map->ubrrl) | avr_regbit_get(u->avr, u->map->ubrrh) << 8;
    return (divisor + 1) * (avr_regbit_get(u->avr, u->map->u2x) ? 8 : 16);
}

unsigned uart_frame_cycles(const struct uart *u) {
    static const unsigned data_bits[] = {5, 6, 7, 8, 8, 8, 8, 9};
    unsigned size = avr_regbit_get(u->avr, u->map->ucsz) | avr_regbit_get(u->avr, u->map->ucsz2) << 2;
    unsigned parity = u->avr->data[u->map->r_ucsrc] & 0x20 ? 1 : 0;  /* UPM1 */
    return bit_cycles(u) * (1 + data_bits[size] + parity + 1 + avr_regbit_get(u->avr, u->map->usbs));
}

double uart_baud(const struct uart *u) { return (double)u->avr->frequency / bit_cycles(u); }

void uart_reset(struct uart *u) {
    u->held = 0;
    u->sending = u->waiting = false;
    avr_regbit_set(u->avr, u->map->udrc.raised);
    avr_regbit_set(u->avr, u->map->ucsz);
}

static void nothing(struct avr_io_t *io) { (void)io; }

bool uart_make(struct board *b) {
    struct uart *u = &b->uart;
    u->avr = b->avr;
    for (avr_io_t *io = b->avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "uart") && ((avr_uart_t *)io)->name == '0')
            u->map = (avr_uart_t *)io;
    if (!u->map)
        return false;
    u->map->io.reset = nothing;
    keep(b->avr, u->map->r_udr, read_data, write_data, b);
    keep(b->avr, u->map->r_ucsra, NULL, write_status, b);
    keep(b->avr, u->map->r_ucsrb, NULL, write_control, b);
    keep(b->avr, u->map->r_ucsrc, NULL, NULL, NULL);
    keep(b->avr, u->map->ubrrl.reg, NULL, NULL, NULL);
    keep(b->avr, u->map->ubrrh.reg, NULL, NULL, NULL);
    avr_irq_register_notify(u->map->rxc.irq + AVR_INT_IRQ_RUNNING, on_return, u);
    avr_irq_register_notify(u->map->udrc.irq + AVR_INT_IRQ_RUNNING, on_return, u);
    return true;
}
