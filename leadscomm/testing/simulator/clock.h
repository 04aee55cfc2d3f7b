#ifndef LEADSCOMM_CLOCK_H
#define LEADSCOMM_CLOCK_H

#include <stdint.h>

int64_t now_ns(void);

#endif
