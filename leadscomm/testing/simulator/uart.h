#ifndef LEADSCOMM_UART_H
#define LEADSCOMM_UART_H

#include "board.h"

bool uart_make(struct board *b);
void uart_reset(struct uart *u);
unsigned uart_frame_cycles(const struct uart *u);
double uart_baud(const struct uart *u);
bool uart_listens(const struct uart *u);
void uart_start_bit(struct board *b);
void uart_receive(struct board *b, uint8_t byte, bool framing_error);

#endif
