/* Digital pins and analog inputs: what a test sets, and what it reads. */
#include "pins.h"
#include "pwm.h"

#include <string.h>

#define SUPPLY_MV 5000

static avr_ioport_t *port_named(struct board *b, char name) {
    return name >= 'A' && name < 'A' + PORTS ? b->pins[name - 'A'].port : NULL;
}

/* Every change of a pin, whoever makes it: the times of its last pulse are kept. */
static void on_change(struct avr_irq_t *irq, uint32_t value, void *param) {
    struct pins *p = param;
    int bit = (int)(irq - p->port->io.irq);
    avr_cycle_count_t now = p->port->io.avr->cycle;
    bool up = value & 1;
    if (up == (p->seen >> bit & 1))
        return;
    p->seen ^= (uint8_t)(1 << bit);
    if (up) {
        p->pulse[bit].period = p->pulse[bit].rose ? now - p->pulse[bit].rose : 0;
        p->pulse[bit].rose = now;
    } else {
        p->pulse[bit].high = now - p->pulse[bit].rose;
    }
}

bool pins_drive(struct board *b, char name, int bit, int level) {
    avr_ioport_t *port = port_named(b, name);
    if (!port || bit < 0 || bit > 7 || level < 0 || level > UNDRIVEN)
        return false;
    uint8_t mask = (uint8_t)(1 << bit);
    port->external.pull_mask = (uint8_t)(level == UNDRIVEN ? port->external.pull_mask & ~mask
                                                            : port->external.pull_mask | mask);
    port->external.pull_value = (uint8_t)(level == 1 ? port->external.pull_value | mask
                                                      : port->external.pull_value & ~mask);
    uint8_t *data = b->avr->data;
    if (!(data[port->r_ddr] & mask))
        avr_raise_irq(port->io.irq + bit, level == UNDRIVEN ? data[port->r_port] >> bit & 1 : (uint32_t)level);
    return true;
}

int pins_level(struct board *b, char name, int bit) {
    avr_ioport_t *port = port_named(b, name);
    if (!port || bit < 0 || bit > 7)
        return -1;
    const uint8_t *data = b->avr->data;
    struct pulse pulse;
    bool output = data[port->r_ddr] >> bit & 1;  /* of the port or of a timer */
    if (output && pwm_at(b, port, bit, &pulse))
        return b->avr->cycle % pulse.period < pulse.high;
    return (output ? b->pins[name - 'A'].seen : data[port->r_pin]) >> bit & 1;
}

bool pins_pulse(struct board *b, char name, int bit, struct pulse *pulse) {
    avr_ioport_t *port = port_named(b, name);
    if (!port || bit < 0 || bit > 7)
        return false;
    if (!pwm_at(b, port, bit, pulse))
        *pulse = b->pins[name - 'A'].pulse[bit];
    return true;
}

bool pins_analog(struct board *b, unsigned channel, uint32_t millivolts) {
    if (channel >= CHANNELS)
        return false;
    b->millivolts[channel] = millivolts;
    return true;
}

/* The chip measures in steps of reference / 1024, simavr of reference / 1023: what makes both say the same. */
static uint32_t rounded_up(struct board *b, uint32_t millivolts) {
    uint32_t reference = b->adc->ref_values[avr_regbit_get_array(b->avr, b->adc->ref, 3)];
    if (reference <= ADC_VREF_AVCC)
        reference = SUPPLY_MV;
    uint32_t steps = millivolts * 1024 / reference;
    return ((steps > 1023 ? 1023 : steps) * reference + 1022) / 1023;
}

/* A conversion begins. simavr 1.6 has values for eight channels alone; those above share the places of the lower. */
static void on_conversion(struct avr_irq_t *irq, uint32_t value, void *param) {
    struct board *b = param;
    avr_adc_t *adc = b->adc;
    (void)irq;
    (void)value;
    avr_adc_mux_t chosen = b->mux[avr_regbit_get_array(b->avr, adc->mux, 6)];
    if (chosen.kind == ADC_MUX_SINGLE && chosen.src < CHANNELS)
        avr_raise_irq(adc->io.irq + ADC_IRQ_ADC0 + (chosen.src & 7), rounded_up(b, b->millivolts[chosen.src]));
}

/* simavr forgets the levels from outside in a reset, and takes the next change for none. */
void pins_reset(struct board *b) {
    for (int i = 0; i < PORTS; i++) {
        struct pins *p = &b->pins[i];
        if (!p->port)
            continue;
        p->seen = b->avr->data[p->port->r_pin] = p->port->external.pull_value;
        for (int bit = 0; bit < 8; bit++)
            p->port->io.irq[bit].flags |= IRQ_FLAG_INIT;
    }
}

void pins_make(struct board *b) {
    for (avr_io_t *io = b->avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "port")) {
            avr_ioport_t *port = (avr_ioport_t *)io;
            struct pins *p = &b->pins[port->name - 'A'];
            p->port = port;
            for (int bit = 0; bit < 8; bit++)
                avr_irq_register_notify(port->io.irq + bit, on_change, p);
        } else if (!strcmp(io->kind, "adc")) {
            b->adc = (avr_adc_t *)io;
            memcpy(b->mux, b->adc->muxmode, sizeof b->mux);
            for (int i = 0; i < 64; i++)
                b->adc->muxmode[i].src &= b->mux[i].kind == ADC_MUX_SINGLE ? 7 : 0x1fff;
            avr_irq_register_notify(io->irq + ADC_IRQ_OUT_TRIGGER, on_conversion, b);
        }
    b->avr->vcc = b->avr->avcc = b->avr->aref = SUPPLY_MV;
}
