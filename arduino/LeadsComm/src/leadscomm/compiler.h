// What is told to the compiler, for the sake of an AVR's small flash. Nothing here changes what the code does.

#ifndef LEADSCOMM_COMPILER_H
#define LEADSCOMM_COMPILER_H

// A function that stays one, and takes the address of its object as an argument. avr-gcc knows the address of a
// global object, and would write it out, with four bytes for each member that is used, where two are enough. For the
// same reason its helpers are put within it before the compiler sees whom they are called for.
#if defined(__AVR__) && defined(__GNUC__) && !defined(__clang__)
#define LEADSCOMM_APART __attribute__((noinline, noclone))
#define LEADSCOMM_WITHIN __attribute__((always_inline))
#else
#define LEADSCOMM_APART
#define LEADSCOMM_WITHIN
#endif

#endif
