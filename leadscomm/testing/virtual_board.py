"""`VirtualBoard`: an Arduino board without the board. Real firmware runs in an emulated processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from leadscomm.errors import FirmwareCrashed, FirmwareError
from leadscomm.hardware.firmware.image import Image, read_image
from leadscomm.packages import Self
from leadscomm.testing.bootloader import bootloader_image
from leadscomm.testing.control import Control
from leadscomm.testing.emulated import Emulated, find_emulated
from leadscomm.testing.program import board_program

_POKED_AT_ONCE: Final = 1024
_FLOATING: Final = 2

Direction = Literal["both", "to", "from"]


class VirtualBoard:
    """A board that exists as a process of this machine, from the constructor's return until :meth:`close`.

    It behaves as a board on USB does: opening its port resets it, pulling the cable takes its port and its power.
    Methods may be called by any thread; they do not wait for each other longer than :meth:`advance` lasts.

    >>> with VirtualBoard("sketch.elf") as board:  # doctest: +SKIP
    ...     client = create_client(board.endpoint)

    :param firmware: an ELF or Intel HEX file; None leaves the program memory empty, for a bootloader to fill.
    :param mcu: ``uno``, ``nano``, ``nano-old``, ``mega``, ``atmega328p`` or ``atmega2560``.
    :param transport: ``pty``, a serial port as far as programs can see; or ``tcp``, a port of 127.0.0.1.
    :param bootloader: True for the one that the board is sold with, or an ELF or HEX file; None: none.
    :param reset_on_open: whether opening the port resets the board, as the line DTR does.
    :param baud: what :attr:`endpoint` says, and the port's baud rate until its user sets another.
    :param baud_check: whether bytes are garbled where the user's baud rate and the firmware's differ by more than 4 %.
        TCP has no baud rate: nothing is garbled there.
    :param pace: whether simulated time goes with real time. False: as fast as this machine can.
    :param receiver_depth: received bytes that the chip holds before it loses some; 3 in all AVRs of these boards.
    :param flip: probability for each byte that one of its bits changes.
    :param drop: probability for each byte that it is lost.
    :param duplicate: probability for each byte that it comes twice.
    :param insert: probability for each byte that another, random one comes before it.
    :param direction: whether faults are made on the way ``to`` the board, ``from`` it, or ``both``.
    :param seed: of the faults; the same seed and the same bytes give the same faults.
    :param eeprom: a file that holds the EEPROM's bytes; it is made if it does not exist. None: 0xff at each start.
    :param link: a symbolic link to be kept pointing to the pty, so that it has the same name after :meth:`plug`.
    :param frequency: of the processor, in Hz; the board's own unless given.
    :raises EndpointError: no board of this name can be emulated.
    :raises FirmwareError: the file cannot be read as firmware, or is for another processor, or is too large.
    :raises MissingTool: libsimavr or a compiler is not installed; the text names the command.
    :raises CommError: the board's program cannot be built or started.
    :raises OSError: a file cannot be read or written.
    """

    def __init__(
        self,
        firmware: str | Path | None = None,
        mcu: str = "uno",
        *,
        transport: Literal["pty", "tcp"] = "pty",
        bootloader: bool | str | Path | None = None,
        reset_on_open: bool = True,
        baud: int = 115200,
        baud_check: bool = True,
        pace: bool = True,
        receiver_depth: int = 3,
        flip: float = 0.0,
        drop: float = 0.0,
        duplicate: float = 0.0,
        insert: float = 0.0,
        direction: Direction = "both",
        seed: int = 0,
        eeprom: str | Path | None = None,
        link: str | Path | None = None,
        frequency: int | None = None,
    ) -> None:
        self.kind: Final = find_emulated(mcu)
        self._transport, self._baud, self._link = transport, baud, link
        self._frequency = self.kind.model.f_cpu if frequency is None else frequency
        images = _images(self.kind, firmware, bootloader)
        values = {"mcu": self.kind.model.mcu, "frequency": self._frequency, "transport": transport, "baud": baud}
        values |= {"depth": receiver_depth, "seed": seed % 2**64, "eeprom": eeprom, "link": link}
        flags = {"fast": not pace, "no-reset-on-open": not reset_on_open, "no-baud-check": not baud_check}
        self._control = Control(board_program(), _options(values, flags))
        try:
            for image in images:
                self._load(image)
            self.set_faults(flip=flip, drop=drop, duplicate=duplicate, insert=insert, direction=direction)
            self._control.ask(f"power {images[-1].start if bootloader else 0}")
        except BaseException:
            self.close()
            raise

    def _load(self, image: Image) -> None:
        for address, data in image.pieces:
            for at in range(0, len(data), _POKED_AT_ONCE):
                self._control.ask(f"poke flash {address + at} {data[at : at + _POKED_AT_ONCE].hex()}")

    @property
    def pid(self) -> int:
        """The process that is the board."""
        return self._control.pid

    # The port --------------------------------------------------------------------------------------------------------

    @property
    def port(self) -> str:
        """Where it is: ``/dev/pts/7``, the link, or ``socket://127.0.0.1:40123``; what pyserial's functions open."""
        if self._transport == "tcp":
            return f"socket://{self._control.name}"
        return str(self._link) if self._link else self._control.name

    @property
    def endpoint(self) -> str:
        """The same as an endpoint: ``serial:///dev/pts/7?baud=115200`` or ``serial://socket://127.0.0.1:40123``."""
        return f"serial://{self.port}" + ("" if self._transport == "tcp" else f"?baud={self._baud}")

    def unplug(self) -> None:
        """Pull the cable out. Programs find the port gone; the firmware stops, and RAM is lost."""
        self._control.ask("unplug")

    def plug(self) -> str:
        """Plug the cable in again, and return :attr:`port`: a pty may have another name. The firmware starts anew."""
        self._control.name = self._control.ask("plug")
        return self.port

    def reset(self) -> None:
        """Press the reset button."""
        self._control.ask("reset")

    def set_faults(
        self,
        *,
        flip: float = 0.0,
        drop: float = 0.0,
        duplicate: float = 0.0,
        insert: float = 0.0,
        direction: Direction = "both",
    ) -> None:
        """Make such faults from now on, and none of other kinds; the other direction stays as it is.

        :raises ValueError: a probability is not between 0 and 1, or the direction is not known.
        """
        values = (flip, drop, duplicate, insert)
        if not all(0 <= value <= 1 for value in values):
            raise ValueError("faults are probabilities: numbers from 0 to 1")
        if direction not in ("both", "to", "from"):
            raise ValueError(f"the direction is 'both', 'to' or 'from', not {direction!r}")
        self._control.ask(f"faults {direction} {' '.join(f'{value:.17g}' for value in values)}")

    # Pins ------------------------------------------------------------------------------------------------------------

    def set_pin(self, pin: int, high: bool | None) -> None:
        """Hold a digital pin high or low from outside; None lets it go. Pins have Arduino's numbers.

        :raises ValueError: the board has no such pin.
        """
        self._control.ask(f"drive {self.kind.place(pin)} {_FLOATING if high is None else int(high)}")

    def pin(self, pin: int) -> bool:
        """The level of a digital pin.

        :raises ValueError: the board has no such pin.
        """
        return self._control.ask(f"level {self.kind.place(pin)}") == "1"

    def pulse(self, pin: int) -> tuple[float, float]:
        """The last pulse of a digital pin: how long it was high, and how long after the one before; in seconds.

        Of a pin with PWM it tells the duty cycle, of a servo's the angle. 0.0 where there was none yet.

        :raises ValueError: the board has no such pin.
        """
        high, period = self._control.ask(f"pulse {self.kind.place(pin)}").split()
        return int(high) / self._frequency, int(period) / self._frequency

    def set_analog(self, channel: int, volts: float) -> None:
        """Put a voltage on an analog input: 0 is A0. The board runs on 5 V, and so does its reference.

        :raises ValueError: the board has no such input, or the voltage would destroy it.
        """
        if not 0 <= channel < self.kind.analog_inputs:
            raise ValueError(f"the board {self.kind.name} has the inputs A0 to A{self.kind.analog_inputs - 1}")
        if not 0 <= volts <= 5:
            raise ValueError(f"{volts:g} V: an analog input takes 0 to 5 V")
        self._control.ask(f"analog {channel} {round(volts * 1000)}")

    # What the firmware did -------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """What was counted since the start; docs/virtual-board.md has the list."""
        return {name: int(value) for name, _, value in (word.partition("=") for word in self._words("counters"))}

    def marks(self) -> list[tuple[int, int]]:
        """What the firmware wrote to the register ``GPIOR0``, and at which cycle; the newest 65,536 of them."""
        pairs = (word.partition(":") for word in self._words("marks"))
        return [(int(mark), int(cycle)) for cycle, _, mark in pairs]

    def forget_marks(self) -> None:
        """Begin a new list of marks."""
        self._control.ask("forget")

    def cycles(self) -> int:
        """Cycles of the processor since the start. They stand still while it has no power."""
        return self.counters()["cycles"]

    def seconds(self) -> float:
        """The same in seconds of simulated time."""
        return self.cycles() / self._frequency

    def ram_high_water(self) -> int:
        """Bytes of RAM that were used at any time since power came: variables, heap and the deepest stack."""
        return self.counters()["ram"]

    def memory(self, space: Literal["flash", "ram", "eeprom"], address: int, length: int) -> bytes:
        """Bytes of one of the memories as they are now. RAM is addressed as the firmware does.

        :raises CommError: there are no such addresses.
        """
        return bytes.fromhex(self._control.ask(f"peek {space} {address} {length}"))

    def state(self) -> str:
        """``running``, ``off`` (unplugged), ``crashed: ...`` or ``asleep ...`` (with interrupts off, for ever)."""
        return self._control.ask("state")

    def check(self) -> None:
        """Nothing, if the firmware is well.

        :raises FirmwareCrashed: it is not; the text is that of :meth:`state`.
        """
        state = self.state()
        if state not in ("running", "off"):
            raise FirmwareCrashed(f"the firmware of the virtual board: {state}")

    def advance(self, seconds: float) -> None:
        """Wait until so much simulated time has passed: with ``pace=False`` that is sooner than real time.

        :raises FirmwareCrashed: the firmware has ended before.
        """
        self._control.ask(f"run {round(seconds * self._frequency)}")
        self.check()

    def _words(self, command: str) -> list[str]:
        return self._control.ask(command).split()

    # Its life --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End it. Programs find its port gone. Once is enough."""
        self._control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it.

        :raises FirmwareCrashed: the firmware had crashed, and nothing else is wrong that would say so.
        """
        try:
            if kind is None:
                self.check()
        finally:
            self.close()


def _options(values: Mapping[str, object], flags: Mapping[str, bool]) -> list[str]:
    """The command line of the board's program; values of None are left to it."""
    given = [f"--{name}={value}" for name, value in values.items() if value is not None]
    return given + [f"--{name}" for name, wanted in flags.items() if wanted]


def _images(kind: Emulated, firmware: str | Path | None, bootloader: bool | str | Path | None) -> list[Image]:
    """What goes into the program memory, in this order."""
    images = [] if firmware is None else [read_image(firmware)]
    if bootloader:
        images.append(bootloader_image(kind) if bootloader is True else read_image(bootloader))
    if not images:
        raise FirmwareError("a virtual board needs a firmware, or a bootloader to load one")
    for image in images:
        _check(kind, image)
    if firmware is not None and bootloader and images[0].end > images[1].start:
        raise FirmwareError(f"{images[0].name} reaches into the bootloader, which begins at 0x{images[1].start:x}")
    return images


def _check(kind: Emulated, image: Image) -> None:
    """
    :raises FirmwareError: the firmware is for another processor, or too large for this one.
    """
    if image.mcu and image.mcu != kind.model.mcu:
        raise FirmwareError(
            f"{image.name} was compiled for the {image.mcu}; the board {kind.name} has an {kind.model.mcu}"
        )
    if image.architecture not in (None, kind.architecture):
        raise FirmwareError(
            f"{image.name} was compiled for AVR architecture {image.architecture}; "
            f"the {kind.model.mcu} of the board {kind.name} has {kind.architecture}"
        )
    if image.end > kind.flash_size:
        raise FirmwareError(
            f"{image.name} reaches up to 0x{image.end:x}; the {kind.model.mcu} has 0x{kind.flash_size:x} bytes of flash"
        )
