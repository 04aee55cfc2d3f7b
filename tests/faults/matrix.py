"""Which fault is made on which transport, what must then hold, and which tests see to it.

``python -m tests.faults.matrix`` prints the table that ``docs/fault-laboratory.md`` shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

TRANSPORTS: Final = ("TCP", "UDP", "serial")
NOT_THERE: Final = "–"


@dataclass(frozen=True)
class Row:
    """One fault.

    :ivar passes: what must hold.
    :ivar cells: for each transport that can have it the tests, as file.function.
    """

    fault: str
    passes: str
    cells: Mapping[str, Sequence[str]]


def everywhere(*tests: str) -> dict[str, Sequence[str]]:
    return dict.fromkeys(TRANSPORTS, tests)


MATRIX: Final = (
    Row(
        "loss, 20 % each way",
        "all arrives once, in order; memory bounded",
        {
            "TCP": ("test_losses.test_loss", "test_losses.test_loss_kernel_tcp"),
            "UDP": ("test_losses.test_loss_udp",),
            "serial": ("test_losses.test_loss",),
        },
    ),
    Row(
        "duplicates, reordering",
        "nothing twice, all in order",
        {
            "UDP": ("test_losses.test_doubled_and_overtaken_udp",),
            "serial": ("test_losses.test_doubled_and_overtaken_serial",),
        },
    ),
    Row(
        "damage",
        "nothing damaged is delivered; the next frame but one is good again",
        {
            "TCP": ("test_losses.test_damage",),
            "UDP": ("test_losses.test_damage",),
            "serial": ("test_losses.test_damage_serial", "test_losses.test_a_good_message_follows_a_damaged_one"),
        },
    ),
    Row(
        "all of these at once, and cuts",
        "all arrives once, in order",
        everywhere("test_losses.test_everything_at_once"),
    ),
    Row(
        "connection killed, reset; cable pulled",
        "the session goes on, callbacks notice nothing",
        {
            "TCP": (
                "test_cuts.test_cut_while_sending",
                "test_cuts.test_cut_while_idle",
                "test_cuts.test_away_for_a_while",
                "test_cuts.test_reset_by_a_firewall",
                "test_cuts.test_killed_by_the_system",
            ),
            "UDP": ("test_cuts.test_cut_while_sending", "test_cuts.test_away_for_a_while"),
            "serial": ("test_cuts.test_cut_while_sending", "test_cuts.test_away_for_a_while"),
        },
    ),
    Row(
        "half open; peer frozen (SIGSTOP)",
        "noticed after `dead_after`, repaired afterwards",
        everywhere(
            "test_silence.test_half_open",
            "test_silence.test_half_open_while_idle",
            "test_silence.test_peer_that_is_frozen_for_a_while",
            "test_silence.test_peer_that_is_frozen_for_too_long",
        ),
    ),
    Row(
        "peer killed (SIGKILL), started again",
        "a new session; what was not delivered is reported",
        everywhere(
            "test_deaths.test_server_killed",
            "test_deaths.test_client_killed",
            "test_deaths.test_killed_at_any_moment",
        ),
    ),
    Row(
        "slow reader, stuck callback",
        "other peers go on as before",
        {
            "TCP": ("test_neighbours.test_stuck_callback", "test_neighbours.test_slow_reader"),
            "UDP": ("test_neighbours.test_stuck_callback", "test_neighbours.test_slow_reader"),
        },
    ),
    Row(
        "slow handshake, endless frames, garbage",
        "closed after `handshake_timeout`; 64 KiB held for each at most",
        {
            "TCP": (
                "test_strangers.test_no_session_is_spoken",
                "test_strangers.test_a_byte_now_and_then",
                "test_strangers.test_memory_of_many",
            ),
            "UDP": ("test_strangers.test_strangers_udp",),
            "serial": ("test_strangers.test_noise_on_the_cable", "test_strangers.test_noise_on_the_cable_before"),
        },
    ),
    Row(
        "no descriptors or threads left",
        "accepting pauses, and goes on afterwards",
        {
            "TCP": (
                "test_exhaustion.test_strangers_use_up_the_descriptors",
                "test_exhaustion.test_peers_use_up_the_descriptors",
                "test_exhaustion.test_peers_use_up_the_threads",
            ),
            "UDP": (
                "test_exhaustion.test_peers_use_up_the_descriptors",
                "test_exhaustion.test_peers_use_up_the_threads",
            ),
        },
    ),
    Row(
        "the clock is set, by an hour",
        "no timer notices",
        everywhere("test_clock.test_no_timer_goes_by_the_time_of_day", "test_clock.test_clock_jumps"),
    ),
    Row(
        "callback raises, sends, closes",
        "`on_fail` once, nothing waits for itself",
        everywhere(
            "test_callbacks.test_raises",
            "test_callbacks.test_raises_everywhere",
            "test_callbacks.test_answers_inside",
            "test_callbacks.test_closes_inside",
            "test_callbacks.test_closed_by_another_thread_while_it_is_stuck",
        ),
    ),
)


def markdown() -> str:
    """The table, as the page shows it."""
    heads = ("fault", *TRANSPORTS, "what must hold")
    lines = [heads, ("---",) * len(heads)]
    for row in MATRIX:
        cells = (", ".join(map(_shown, row.cells.get(transport, ()))) or NOT_THERE for transport in TRANSPORTS)
        lines.append((row.fault, *cells, row.passes))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shown(test: str) -> str:
    return f"`{test.partition('.test_')[2]}`"


if __name__ == "__main__":
    print(markdown())
