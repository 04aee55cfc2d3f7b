#ifndef LEADSCOMM_PORT_H
#define LEADSCOMM_PORT_H

#include "board.h"

bool port_plug(struct board *b);
void port_unplug(struct board *b);
void port_look(struct board *b);
void port_put(struct board *b, uint8_t byte);
void port_flush(struct board *b);
int port_fd(const struct board *b);

#endif
