"""Sketches compiled by the real compiler."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadscomm.errors import BuildFailed, EndpointError, MissingTool
from leadscomm.hardware.firmware import places
from leadscomm.hardware.firmware.image import read_image
from leadscomm.hardware.firmware.models import MODELS
from leadscomm.hardware.toolchain import arduino_folder, build, size_of
from tests.hardware.tools import BLINK, needs_compiler, write


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leadscomm"


@needs_compiler
@pytest.mark.parametrize("board", MODELS)
def test_every_board(tmp_path: Path, board: str) -> None:
    elf = build(write(tmp_path / "blink", blink_ino=BLINK), board, build_folder=tmp_path / "out")
    assert elf == tmp_path / "out" / "blink.elf"
    assert sorted(path.name for path in elf.parent.iterdir()) == ["blink.elf", "blink.hex"]
    size = size_of(elf)
    usb = 3000 if MODELS[board].usb_product else 0  # the core speaks USB there
    assert 500 + usb < size.flash_bytes < 2000 + usb
    assert 5 < size.ram_bytes < 200
    program = read_image(elf.with_suffix(".hex"))
    assert sum(len(data) for _, data in program.pieces) == size.flash_bytes
    assert read_image(elf).mcu == MODELS[board].mcu


@needs_compiler
def test_functions_may_be_called_above_their_definitions(tmp_path: Path) -> None:
    """From wherever a sketch calls them, and whatever they look like."""
    sketch = """
        struct S { int a; };
        struct K { void m() { later(); } S s() { return make(); } };
        template <class T> T twice(T x) { later(); return x + x; }
        volatile int n;
        ISR(TIMER2_OVF_vect) { n++; later(); }
        void (*table[])() = {later, one};
        namespace app { void go() { one(); } }
        void setup() {
          K().m(); twice(1); app::go(); table[0](); both(1); both("x"); most(); pick(1)(); sum({1});
          #ifdef __AVR__
          only(3);
          #endif
        }
        void loop() {}
        void later() { n--; }
        struct S make() { return S{1}; }
        static inline __attribute__((always_inline)) void one() {}
        void both(int) {}
        void both(const char *s = "){") {}
        void most(int a = 1, S s = S()) {}
        void (*pick(int n))() { return later; }
        int sum(
            S s  // (
        )
        {
          return s.a;
        }
        #ifdef ESP32
        void only(WiFiEvent_t e) {}
        #else
        void only(int e) {}
        #endif
        """
    elf = build(write(tmp_path / "calls", calls_ino=sketch), build_folder=tmp_path, flags=("-Wall", "-Werror"))
    assert size_of(elf).flash_bytes > 0


@needs_compiler
def test_the_core_is_compiled_once(tmp_path: Path, own_cache: Path) -> None:
    folder = write(tmp_path / "blink", blink_ino=BLINK)
    build(folder, build_folder=tmp_path)
    (kept,) = own_cache.iterdir()
    before = kept.stat()
    build(folder, build_folder=tmp_path)
    assert list(own_cache.iterdir()) == [kept]
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    build(folder, "mega", build_folder=tmp_path)
    assert len(list(own_cache.iterdir())) == 2


@needs_compiler
def test_no_cache_is_no_harm(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.write_text("a file, where the folder should be")
    assert build(write(tmp_path / "blink", blink_ino=BLINK), build_folder=tmp_path).is_file()


@needs_compiler
def test_several_at_once(tmp_path: Path, own_cache: Path) -> None:
    folder = write(tmp_path / "blink", blink_ino=BLINK)
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda number: build(folder, build_folder=tmp_path / str(number)), range(3)))
    assert len({elf.with_suffix(".hex").read_bytes() for elf in made}) == 1
    assert len(list(own_cache.iterdir())) == 1


@needs_compiler
def test_the_same_sources_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()
    for name in ("here", "there"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        folder = write(tmp_path / name / "blink", blink_ino=BLINK + "#include <LeadsComm.h>\n")
        made.add(build(folder, build_folder=tmp_path / name).with_suffix(".hex").read_bytes())
    assert len(made) == 1


@needs_compiler
def test_names_that_need_care(tmp_path: Path) -> None:
    folder = write(tmp_path / "a $b #c", one_ino='#include "own.h"\n#include <other.h>\n' + BLINK, own_h="")
    library = write(tmp_path / "li br#ary" / "src", other_h="", other_cpp="int other;").parent
    assert build(folder, libraries=[library], build_folder=folder / "out").name == "a $b #c.elf"


# Errors --------------------------------------------------------------------------------------------------------------


@needs_compiler
def test_an_error_is_told_with_its_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(
        tmp_path / "bad", bad_ino="void setup() { later(); }\nvoid later() {\n  wrong();\n}\nvoid loop() {}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildFailed) as caught:
        build(Path("bad"), build_folder=tmp_path)
    assert caught.value.summary == "bad does not compile for the Arduino Uno"
    assert "bad/bad.ino:3:9: error: " in caught.value.output
    assert "bad.ino:3:9: error: " in str(caught.value)
    assert not (tmp_path / "bad.elf").exists()
    with pytest.raises(BuildFailed, match=rf"{folder}/b\.cpp:2:1: error"):
        build(write(folder, bad_ino=BLINK, b_cpp="int a;\n}"), build_folder=tmp_path)


@needs_compiler
def test_an_error_of_the_linker(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="undefined reference to `missing"):
        build(write(tmp_path / "bad", bad_ino="void missing();\nvoid setup() { missing(); }\nvoid loop() {}\n"))


@needs_compiler
def test_warnings_are_logged_and_may_be_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "warn", warn_ino="void setup() { int unused; }\nvoid loop() {}\n")
    build(folder, build_folder=tmp_path)
    assert caplog.messages == []
    build(folder, build_folder=tmp_path, flags=["-Wall"])
    assert "warn.ino:1:20: warning: unused variable" in caplog.text
    with pytest.raises(BuildFailed, match=r"warn\.ino:1:20: error: unused variable"):
        build(folder, build_folder=tmp_path, flags=["-Wall", "-Werror"])


@needs_compiler
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "const PROGMEM char big[32000] = {1};\nvoid setup() { Serial.begin(9600); Serial.write(big[random()]); }\n",
            r"the program takes 3\d,\d{3} bytes of flash; the Arduino Uno has 32,256",
        ),
        (
            "char big[2000];\nvoid setup() { Serial.begin(9600); Serial.write(big[random()]++); }\n",
            r"the program takes 2,\d{3} bytes of RAM; the Arduino Uno has 2,048",
        ),
    ],
)
def test_what_does_not_fit(tmp_path: Path, text: str, complaint: str) -> None:
    folder = write(tmp_path / "big", big_ino=text + "void loop() {}\n")
    with pytest.raises(BuildFailed, match=complaint):
        build(folder, build_folder=tmp_path)
    assert build(folder, "mega", build_folder=tmp_path).is_file()


def test_a_board_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="no board 'esp32'; there are: uno, nano, mega"):
        build(tmp_path, "esp32")


@needs_compiler
def test_what_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="is no program"):
        size_of(write(tmp_path, some_elf="nothing of the kind") / "some.elf")


# Tools that are not there --------------------------------------------------------------------------------------------


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No program on PATH, nothing in the home folder, no core in the system's folders."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(places, "_SYSTEM_CORES", ())
    monkeypatch.setattr(places, "packages_folder", lambda: tmp_path / "packages")
    return tmp_path


def test_a_missing_core(empty_machine: Path) -> None:
    with pytest.raises(
        MissingTool, match=r"^the Arduino core is needed, .*sudo apt-get install arduino-core-avr; else"
    ):
        build(write(empty_machine / "blink", blink_ino=BLINK))


@needs_compiler
def test_a_missing_compiler(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(places, "packages_folder", lambda: empty_machine / "packages")
    with pytest.raises(
        MissingTool, match=r"^avr-gcc is needed, .*install gcc-avr avr-libc arduino-core-avr; elsewhere: "
    ):
        build(write(empty_machine / "blink", blink_ino=BLINK))


def test_what_the_arduino_tools_have_installed_is_used(empty_machine: Path) -> None:
    for version in ("1.8.3", "1.8.10", "1.8.6"):
        write(empty_machine / "packages" / "hardware" / "avr" / version / "cores" / "arduino", Arduino_h="")
    assert places.core_folder().name == "1.8.10"
    tool = (
        write(empty_machine / "packages" / "tools" / "avr-gcc" / "7.3.0-atmel3.6.1-arduino7" / "bin", avr_gcc="")
        / "avr-gcc"
    )
    (tool.parent / "avr.gcc").rename(tool)
    tool.chmod(0o755)
    assert places.find("avr-gcc") == str(tool)


def test_an_installation_without_its_arduino_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (arduino_folder() / "LeadsComm" / "library.properties").is_file()
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "leadscomm")
    with pytest.raises(MissingTool, match="pip install --force-reinstall leadscomm"):
        arduino_folder()
    write(tmp_path / "leadscomm" / "arduino" / "LeadsComm")
    assert arduino_folder() == tmp_path / "leadscomm" / "arduino"


# Libraries -----------------------------------------------------------------------------------------------------------


@needs_compiler
def test_libraries_in_both_layouts(tmp_path: Path) -> None:
    new = write(
        tmp_path / "libraries" / "New" / "src",
        New_h="#include <Old.h>\nint made_new();",
        New_cpp="#include <New.h>\nint made_new() { return old(); }",
    )
    old = write(
        tmp_path / "libraries" / "Old", Old_h="int old();", Old_cpp='#include "inner.h"\nint old() { return INNER; }'
    )
    write(old / "utility", inner_h="#define INNER 5")
    write(old / "examples", broken_cpp="this is not compiled")
    text = "#include <New.h>\n#include <EEPROM.h>\nvoid setup() { EEPROM.write(0, made_new()); }\nvoid loop() {}\n"
    sketch = write(tmp_path / "both", both_ino=text)
    assert build(sketch, libraries=[new.parent, old], build_folder=tmp_path).is_file()


@needs_compiler
def test_a_library_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "Some", Some_h="")
    monkeypatch.chdir(tmp_path)
    sketch = write(tmp_path / "sketch", sketch_ino="#include <Some.h>\n" + BLINK)
    assert build("sketch/sketch.ino", libraries=["Some"], build_folder="out") == Path("out/sketch.elf")
    assert (sketch.parent / "out" / "sketch.hex").is_file()


@needs_compiler
def test_a_library_is_taken_only_where_it_is_included(tmp_path: Path) -> None:
    broken = write(tmp_path / "Broken", Broken_h="", Broken_cpp="this does not compile")
    text = "#ifdef ESP32\n#include <Broken.h>\n#endif\n// #include <Broken.h>\n" + BLINK
    assert build(write(tmp_path / "some", some_ino=text), libraries=[broken], build_folder=tmp_path).is_file()


@needs_compiler
def test_given_libraries_go_before_the_cores(tmp_path: Path) -> None:
    own = write(tmp_path / "EEPROM", EEPROM_h="#define OWN 1")
    text = "#include <EEPROM.h>\n#ifndef OWN\n#error the other one\n#endif\n" + BLINK
    assert build(write(tmp_path / "some", some_ino=text), libraries=[own], build_folder=tmp_path).is_file()


@needs_compiler
def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"some\.ino:1:\d+: fatal error: NoSuch\.h: No such file"):
        build(write(tmp_path / "some", some_ino="#include <NoSuch.h>\n" + BLINK))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"there is no library .*/nothing"):
        build(write(tmp_path / "some", some_ino=BLINK), libraries=[tmp_path / "nothing"])


@needs_compiler
def test_the_library_of_the_project_is_always_there(tmp_path: Path) -> None:
    sketch = write(tmp_path / "some", some_ino="#include <LeadsComm.h>\n" + BLINK)
    assert build(sketch, build_folder=tmp_path).is_file()


# arduino-cli ---------------------------------------------------------------------------------------------------------

# Not packaged by Debian; so the real one is not tested. This one writes down how it was called.
CLI = """#!{python}
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--build-path") + 1])
pathlib.Path({calls!r}).write_text("\\n".join(sys.argv[1:]))
if {complaint!r}:
    sys.exit({complaint!r})
for suffix in ("elf", "hex"):
    (folder / ("blink.ino." + suffix)).write_bytes(pathlib.Path({made!r} + suffix).read_bytes())
"""


@pytest.fixture
def arduino_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an arduino-cli on PATH; returns a function that installs it and gives the file of its calls."""
    made = build(write(tmp_path / "blink", blink_ino=BLINK), build_folder=tmp_path / "made")
    program = tmp_path / "bin" / "arduino-cli"
    program.parent.mkdir()
    (tmp_path / "packages" / "hardware" / "avr").mkdir(parents=True)
    monkeypatch.setattr(places, "packages_folder", lambda: tmp_path / "packages")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def install(complaint: str = "") -> Path:
        calls = tmp_path / "calls"
        text = CLI.format(python=sys.executable, calls=str(calls), made=str(made)[:-3], complaint=complaint)
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return calls

    return install


@needs_compiler
def test_arduino_cli_is_used_where_it_is(tmp_path: Path, arduino_cli) -> None:
    calls = arduino_cli()
    library = write(tmp_path / "Other", Other_h="")
    elf = build(tmp_path / "blink", "mega", [library], tmp_path / "out", ["-Wall"])
    assert [path.name for path in sorted(elf.parent.iterdir())] == ["blink.elf", "blink.hex"]
    said = calls.read_text().splitlines()
    assert said[:3] == ["compile", "--fqbn", "arduino:avr:mega:cpu=atmega2560"]
    assert said[-1] == str(tmp_path / "blink")
    assert "--build-property=compiler.cpp.extra_flags=-Wall" in said
    libraries = [said[at + 1] for at, word in enumerate(said) if word == "--library"]
    assert libraries == [str(library), str(arduino_folder() / "LeadsComm")]


@needs_compiler
def test_what_arduino_cli_says(tmp_path: Path, arduino_cli) -> None:
    arduino_cli("blink.ino:1:1: error: no")
    with pytest.raises(BuildFailed) as caught:
        build(tmp_path / "blink", build_folder=tmp_path / "out")
    assert caught.value.output == "blink.ino:1:1: error: no\n"


@needs_compiler
def test_arduino_cli_is_left_alone_where_it_cannot_help(tmp_path: Path, arduino_cli) -> None:
    calls = arduino_cli("must not be asked")
    single = write(tmp_path / "blink", single_cpp="#include <Arduino.h>\n" + BLINK) / "single.cpp"
    build(single, build_folder=tmp_path / "out")  # no sketch folder
    (tmp_path / "packages" / "hardware" / "avr").rmdir()  # no core for AVR boards
    single.unlink()
    build(tmp_path / "blink", build_folder=tmp_path / "out")
    assert not calls.exists()
