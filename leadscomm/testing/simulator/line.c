/* The two wires between the host and the UART.
 *
 * Bytes to the board follow each other at the pace that the firmware has set; while nobody listens, at the host's.
 * Faults are made byte by byte, before the wire is entered. Each byte takes the same random numbers whatever the
 * probabilities are, so that with one seed the same bytes suffer when one of the probabilities is changed.
 *
 * If the two baud rates differ by more than 4 %, the receiver reads the sender's bits at the wrong times, and what it
 * reads is worked out bit by bit. Real receivers begin to fail between 4 and 5 %; so differences in that range count
 * as 7 %, which no receiver stands.
 */
#include "line.h"
#include "uart.h"

#include <math.h>
#include <string.h>

#define TOLERANCE 0.04
#define PLAIN 0.07

/* Faults */

static uint64_t draw(uint64_t *state) {  /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static bool happens(uint64_t *random, double probability) {
    return (double)(draw(random) >> 11) * 0x1p-53 < probability;
}

/* One byte becomes none, one, two or three; `out` has room for three. */
static unsigned damage(struct counters *count, struct faults *f, uint8_t byte, uint8_t *out) {
    unsigned length = 0;
    bool flip = happens(&f->random, f->flip), drop = happens(&f->random, f->drop);
    bool duplicate = happens(&f->random, f->duplicate), insert = happens(&f->random, f->insert);
    uint64_t detail = draw(&f->random);
    if (insert)
        out[length++] = (uint8_t)(detail >> 8);
    if (flip)
        byte ^= (uint8_t)(1 << (detail & 7));
    if (!drop)
        out[length++] = byte;
    if (duplicate && !drop)
        out[length++] = byte;
    count->flipped += flip && !drop;
    count->dropped += drop;
    count->duplicated += duplicate && !drop;
    count->inserted += insert;
    return length;
}

/* Baud rates */

/* The level of bit `at` of a byte as it is sent: start bit, data from the lowest on, stop bit. */
static bool level_at(uint8_t byte, int at) { return at >= 1 && (at > 8 || byte >> (at - 1) & 1); }

struct reading {
    uint8_t byte;
    bool framing_error;
};

/* What the receiver reads while the sender sends one byte; `ratio` is how long its bits are, in bits of the sender. */
static unsigned sample(struct sampler *s, uint8_t sent, double ratio, struct reading *out) {
    unsigned length = 0;
    double now = 0;
    for (;;) {
        if (s->bit < 0) {  /* look for the next edge down */
            int at = (int)ceil(now);
            while (at < 10 && !((at ? level_at(sent, at - 1) : s->level) && !level_at(sent, at)))
                at++;
            if (at >= 10)
                break;
            s->bit = 0;
            s->next = at + 1.5 * ratio;
        }
        if (s->next >= 10) {
            s->next -= 10;
            break;
        }
        bool level = level_at(sent, (int)s->next);
        now = s->next;
        if (s->bit < 8) {
            s->byte = (uint8_t)((s->byte >> 1) | (level ? 0x80 : 0));
            s->bit++;
            s->next += ratio;
        } else {
            out[length].byte = s->byte;
            out[length++].framing_error = !level;
            s->bit = -1;
        }
    }
    s->level = true;  /* the stop bit */
    return length;
}

/* The line is quiet after a byte: the receiver reads the rest of what it has begun as ones. */
static unsigned settle(struct sampler *s, struct reading *out) {
    if (s->bit < 0)
        return 0;
    for (; s->bit < 8; s->bit++)
        s->byte = s->byte >> 1 | 0x80;
    out->byte = s->byte;
    out->framing_error = false;
    s->bit = -1;
    return 1;
}

/* 1 if the two sides understand each other, else the host's baud rate over the board's. */
static double mismatch(const struct board *b) {
    if (!b->baud_check || !b->line.host_baud)
        return 1;
    double ratio = b->line.host_baud / uart_baud(&b->uart);
    if (fabs(ratio - 1) <= TOLERANCE)
        return 1;
    return fabs(ratio - 1) >= PLAIN ? ratio : ratio > 1 ? 1 + PLAIN : 1 - PLAIN;
}

/* To the board */

static void send_reading(struct line *l, const struct reading *read, unsigned length) {
    for (unsigned i = 0; i < length; i++) {
        l->next[l->ready].byte = read[i].byte;
        l->next[l->ready++].framing_error = read[i].framing_error;
    }
}

/* Take the next byte of the host, and work out what the receiver will read; false if there is none. */
static bool prepare(struct board *b) {
    struct line *l = &b->line;
    struct reading read[8];
    l->ready = l->taken = 0;
    if (!l->length) {
        send_reading(l, read, settle(&l->down, read));
        return l->ready > 0;
    }
    uint8_t bytes[3], host = l->queue[l->first];
    l->first = (l->first + 1) % QUEUE;
    l->length--;
    b->count.to_board++;
    double ratio = uart_listens(&b->uart) ? mismatch(b) : 1;
    unsigned count = damage(&b->count, &b->line.to_board, host, bytes);
    b->count.garbled += ratio != 1;
    for (unsigned i = 0; i < count; i++)
        if (ratio != 1) {
            send_reading(l, read, sample(&l->down, bytes[i], ratio, read));
        } else {
            struct reading plain = {bytes[i], false};
            send_reading(l, &plain, 1);
        }
    return true;
}

static avr_cycle_count_t frame_cycles(const struct board *b) {
    if (uart_listens(&b->uart))
        return uart_frame_cycles(&b->uart);
    unsigned baud = b->line.host_baud ? b->line.host_baud : b->initial_baud;
    return (avr_cycle_count_t)b->frequency * 10 / baud;
}

/* Put the next byte on the wire; returns when it will have arrived, 0 if there is none. */
static avr_cycle_count_t begin(struct board *b, avr_cycle_count_t now) {
    struct line *l = &b->line;
    while (l->taken == l->ready)
        if (!prepare(b)) {
            l->busy = false;
            return 0;
        }
    l->busy = true;
    l->lost = !uart_listens(&b->uart);
    if (!l->lost)
        uart_start_bit(b);
    return l->until = now + frame_cycles(b);
}

static avr_cycle_count_t arrived(avr_t *avr, avr_cycle_count_t when, void *param) {
    struct board *b = param;
    struct line *l = &b->line;
    (void)avr;
    if (!l->lost)
        uart_receive(b, l->next[l->taken].byte, l->next[l->taken].framing_error);
    l->taken++;
    return begin(b, when);
}

/* Send on if something waits; simavr must be between two instructions. */
void line_wake(struct board *b) {
    avr_t *avr = b->avr;
    if (!b->line.busy && begin(b, avr->cycle))
        avr_cycle_timer_register(avr, b->line.until - avr->cycle, arrived, b);
}

/* A reset has stopped simavr's timers; what is on the wire goes on. */
void line_resume(struct board *b) {
    avr_cycle_count_t now = b->avr->cycle;
    b->line.lost = true;
    if (b->line.busy)
        avr_cycle_timer_register(b->avr, b->line.until > now ? b->line.until - now : 1, arrived, b);
}

size_t line_room(const struct line *l) { return QUEUE - l->length; }

void line_from_host(struct board *b, const uint8_t *bytes, size_t length) {
    struct line *l = &b->line;
    for (size_t i = 0; i < length && l->length < QUEUE; i++)
        l->queue[(l->first + l->length++) % QUEUE] = bytes[i];
    if (b->powered && !b->ended)
        line_wake(b);
}

void line_forget(struct line *l) {
    l->length = 0;
    l->down.bit = l->up.bit = -1;
    l->down.level = l->up.level = true;
}

/* From the board */

void line_sent(struct board *b, uint8_t byte) {
    uint8_t bytes[3];
    struct reading read[8];
    double ratio = mismatch(b);
    unsigned count = damage(&b->count, &b->line.from_board, byte, bytes);
    b->count.from_board++;
    b->count.garbled += ratio != 1;
    for (unsigned i = 0; i < count; i++)
        if (ratio != 1) {
            unsigned length = sample(&b->line.up, bytes[i], 1 / ratio, read);
            for (unsigned k = 0; k < length; k++)
                b->line.to_host(b, read[k].byte);
        } else {
            b->line.to_host(b, bytes[i]);
        }
}

void line_make(struct line *l, uint64_t seed) {
    l->to_board.random = seed;
    l->from_board.random = ~seed;
    line_forget(l);
}
