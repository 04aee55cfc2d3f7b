// Servos by timer 1 of an AVR. The IDE's Servo library would do, but it is not part of the core.
#pragma once

#include <Arduino.h>

#ifdef __AVR__

/// Gives each servo its pulse every 20 ms, one behind the other. While there are any, timer 1 makes no PWM.
class Servos {
 public:
  static constexpr uint8_t MOST = 6;  // of 2.5 ms at most, within 20 ms

  /// Holds the servo at this pin at the position of this pulse; false if all places are taken.
  bool set(uint8_t pin, uint16_t width_us) {
    uint8_t at = find(pin);
    if (at == MOST) {
      at = free();
      if (at == MOST) return false;
      digitalWrite(pin, LOW);
      pinMode(pin, OUTPUT);
    }
    const uint8_t interrupts = SREG;
    noInterrupts();
    if (!any()) begin();
    places_[at] = {portOutputRegister(digitalPinToPort(pin)), digitalPinToBitMask(pin), pin,
                   static_cast<uint16_t>(width_us * TICKS_PER_US)};
    SREG = interrupts;
    return true;
  }

  /// Lets go of the servo at this pin, if there is one.
  void release(uint8_t pin) {
    const uint8_t at = find(pin);
    if (at == MOST) return;
    const uint8_t interrupts = SREG;
    noInterrupts();
    *places_[at].port &= ~places_[at].mask;
    places_[at].mask = 0;
    if (!any()) end();
    SREG = interrupts;
  }

  /// Whether PWM at this pin would need the timer that the servos have.
  bool uses(uint8_t pin) const {
    const uint8_t timer = digitalPinToTimer(pin);
    bool ours = timer == TIMER1A || timer == TIMER1B;
#ifdef TIMER1C
    ours = ours || timer == TIMER1C;
#endif
    return ours && any();
  }

  /// Ends the pulse of one servo and begins that of the next. Called by the interrupt.
  void turn() {
    if (on_ == MOST) {
      on_ = 0;
      round_ = TCNT1;
    } else {
      *places_[on_].port &= ~places_[on_].mask;
      ++on_;
    }
    while (on_ < MOST && places_[on_].mask == 0) ++on_;
    if (on_ == MOST) {
      OCR1A = round_ + ROUND_US * TICKS_PER_US;
    } else {
      *places_[on_].port |= places_[on_].mask;
      OCR1A = TCNT1 + places_[on_].ticks;
    }
  }

 private:
  static constexpr uint16_t TICKS_PER_US = F_CPU / 8 / 1000000;
  static constexpr uint16_t ROUND_US = 20000;

  struct Place {
    volatile uint8_t *port;
    uint8_t mask;  // 0: the place is free
    uint8_t pin;
    uint16_t ticks;
  };

  uint8_t find(uint8_t pin) const {
    uint8_t at = 0;
    while (at < MOST && (places_[at].mask == 0 || places_[at].pin != pin)) ++at;
    return at;
  }

  uint8_t free() const {
    uint8_t at = 0;
    while (at < MOST && places_[at].mask != 0) ++at;
    return at;
  }

  bool any() const {
    for (const Place &place : places_) {
      if (place.mask != 0) return true;
    }
    return false;
  }

  void begin() {
    on_ = MOST;
    TCCR1A = 0;
    TCCR1B = _BV(CS11);  // counts at 1/8 of the clock, and never stops
    OCR1A = TCNT1 + 100 * TICKS_PER_US;
    TIFR1 = _BV(OCF1A);
    TIMSK1 |= _BV(OCIE1A);
  }

  /// Leaves the timer as the core sets it up for PWM.
  void end() {
    TIMSK1 &= ~_BV(OCIE1A);
    TCCR1A = _BV(WGM10);
    TCCR1B = _BV(CS11) | _BV(CS10);
  }

  Place places_[MOST] = {};
  uint8_t on_ = MOST;   // whose pulse is on; MOST: nobody's until the next round
  uint16_t round_ = 0;  // when this round began
};

Servos servos;

ISR(TIMER1_COMPA_vect) { servos.turn(); }

#else

/// Other boards have no servos yet: every place is taken.
struct Servos {
  bool set(uint8_t, uint16_t) { return false; }
  void release(uint8_t) {}
  bool uses(uint8_t) const { return false; }
};

Servos servos;

#endif
