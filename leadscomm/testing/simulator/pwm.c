/* PWM in the phase-correct modes, which the Arduino core uses on all timers but the first.
 *
 * simavr 1.6 drives the pins of timers in fast PWM alone. Here the others are worked out from the registers when
 * somebody asks: the counter goes up to TOP and down again, and the pin is high below OCR. Tables: the data sheets'
 * "Waveform Generation Mode Bit Description".
 */
#include "pwm.h"

#include <simavr/avr_timer.h>
#include <string.h>

static unsigned pair(const avr_t *avr, avr_io_addr_t low, avr_io_addr_t high) {
    return avr->data[low] | (high ? avr->data[high] << 8 : 0);
}

/* How far the timer counts; 0 if it is in no phase-correct mode, or stands still. */
static unsigned top_of(avr_t *avr, avr_timer_t *timer) {
    unsigned mode = avr_regbit_get_array(avr, timer->wgm, 4);
    unsigned by_register = pair(avr, timer->comp[0].r_ocr, timer->comp[0].r_ocrh);
    if (!avr_regbit_get_array(avr, timer->cs, 4))
        return 0;
    if (!timer->r_tcnth)
        return mode == 1 ? 0xff : mode == 5 ? by_register : 0;
    switch (mode) {
    case 1: case 2: case 3: return (0x80u << mode) - 1;  /* 8, 9 or 10 bits */
    case 8: case 10: return pair(avr, timer->r_icr, timer->r_icrh);
    case 9: case 11: return by_register;
    default: return 0;
    }
}

static bool pulse_of(avr_t *avr, avr_timer_t *timer, avr_timer_comp_t *output, struct pulse *pulse) {
    unsigned top = top_of(avr, timer), com = avr_regbit_get(avr, output->com);
    if (!top || com < avr_timer_com_clear)
        return false;
    unsigned divider = timer->cs_div[avr_regbit_get_array(avr, timer->cs, 4)];
    unsigned match = pair(avr, output->r_ocr, output->r_ocrh);
    match = match > top ? top : match;
    pulse->period = (avr_cycle_count_t)(2 * top) << divider;
    pulse->high = (avr_cycle_count_t)(2 * (com == avr_timer_com_clear ? match : top - match)) << divider;
    return true;
}

/* Whether a timer makes phase-correct PWM at this pin; its times. */
bool pwm_at(struct board *b, const avr_ioport_t *port, int bit, struct pulse *pulse) {
    for (avr_io_t *io = b->avr->io_port; io; io = io->next) {
        avr_timer_t *timer = (avr_timer_t *)io;
        if (strcmp(io->kind, "timer"))
            continue;
        for (int i = 0; i < AVR_TIMER_COMP_COUNT; i++)
            if (timer->comp[i].com_pin.reg == port->r_port && timer->comp[i].com_pin.bit == bit &&
                pulse_of(b->avr, timer, &timer->comp[i], pulse))
                return true;
    }
    return false;
}
