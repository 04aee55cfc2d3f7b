"""Which files belong to a sketch, and the C++ that its .ino files become."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscomm.errors import BuildFailed
from leadscomm.hardware.firmware.sketch import as_cpp, sketch_at
from tests.hardware.tools import write


def declared(folder: Path, text: str) -> list[str]:
    """The declarations that are written for a sketch of this text; everything else stays as it was."""
    path = write(folder, some_ino=text) / "some.ino"
    lines = as_cpp((path,)).splitlines()
    assert lines[:2] == ["#include <Arduino.h>", f'#line 1 "{path}"']
    own = text.splitlines()
    added = [line for line in lines[2:] if line and line not in own]
    assert [line for line in lines[2:] if line and line not in added] == [line for line in own if line]
    return [line for line in added if not line.startswith("#line")]


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_folder_is_a_sketch(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "blink", a_ino="", blink_ino="", z_ino="", helper_cpp="", old_c="", fast_S="", helper_h=""
    )
    write(folder / "src" / "deep", more_cpp="")
    write(folder / "examples", other_cpp="")
    sketch = sketch_at(folder)
    assert sketch.name == "blink"
    assert [path.name for path in sketch.inos] == ["blink.ino", "a.ino", "z.ino"]
    assert [path.name for path in sketch.sources] == ["fast.S", "helper.cpp", "old.c", "more.cpp"]
    assert sketch_at(folder / "blink.ino") == sketch


def test_a_file_is_a_sketch_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, one_ino="", two_cpp="", three_ino="")
    assert sketch_at(tmp_path / "one.ino").inos == (tmp_path / "one.ino",)
    assert sketch_at(tmp_path / "two.cpp").sources == (tmp_path / "two.cpp",)
    assert sketch_at(tmp_path / "two.cpp").inos == ()


def test_what_is_no_sketch(tmp_path: Path) -> None:
    write(tmp_path, notes_txt="")
    with pytest.raises(BuildFailed, match="there is no sketch"):
        sketch_at(tmp_path / "nothing")
    with pytest.raises(BuildFailed, match=r"is no sketch; give a folder, an \.ino file"):
        sketch_at(tmp_path / "notes.txt")
    with pytest.raises(BuildFailed, match=r"no \.ino or \.cpp file in"):
        sketch_at(tmp_path)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.ino").write_bytes(b"void setup() {} // \xff\xfe")
    with pytest.raises(BuildFailed, match=r"a\.ino cannot be read"):
        as_cpp((tmp_path / "a.ino",))


# Declarations --------------------------------------------------------------------------------------------------------


def test_what_is_called_above_its_definition_is_declared(tmp_path: Path) -> None:
    text = "int n;\nvoid setup() { later(3); }\nvoid loop() {}\nunsigned  long\nlater(int x) { return x; }\n"
    assert declared(tmp_path, text) == ["unsigned long later(int x);"]


def test_what_is_in_order_is_left_alone(tmp_path: Path) -> None:
    assert declared(tmp_path, "struct P { int x; };\nint f(P p) { return p.x; }\nvoid loop() { f(P()); }\n") == []


def test_a_function_that_a_global_needs(tmp_path: Path) -> None:
    text = "#include <x.h>\nTimer timer(tick);\nvoid setup() {}\nvoid tick() {}\n"
    assert declared(tmp_path, text) == ["void tick();"]
    lines = as_cpp((tmp_path / "some.ino",)).splitlines()
    assert lines.index("void tick();") < lines.index("Timer timer(tick);")


@pytest.mark.parametrize(
    "definition",
    [
        "void Thing::f(int x) {}",
        "template <class T = int> T f(T x) { return x; }",
        "namespace n { void f() {} }",
        "struct f { void g() {} };",
        "struct K { int f; } k;",
        "// void f() {}",
        "/* void f() {} */",
        'const char *s = "void f() {";',
        'const char *s = R"(void f() {)";',
        "#define F void f() {}",
        "int a[] = {f, g};",
        "ISR(f) {}",
        "Timer::Timer() : x(1), f(2) {}",
        "bool operator==(const F &f, const F &g) { return true; }",
    ],
)
def test_what_is_not_declared(tmp_path: Path, definition: str) -> None:
    assert declared(tmp_path, "void setup() { f(); }\n" + definition + "\n") == []


@pytest.mark.parametrize(
    ("definition", "declaration"),
    [
        ("void f(void (*g)()) { g(); }", "void f(void (*g)());"),
        ("int (*f(int n))(int, int) { return g; }", "int (*f(int n))(int, int);"),
        ("template <class T,\n int N>\nT f(T (&x)[N]) { return x[0]; }", "template <class T, int N> T f(T (&x)[N]);"),
        ("struct S f() { return S(); }", "struct S f();"),
        ("static inline unsigned long f() { return 1; }", "static inline unsigned long f();"),
        ("__attribute__((noinline)) void f() {}", "__attribute__((noinline)) void f();"),
        ("void __attribute__((noinline)) f() {}", "void __attribute__((noinline)) f();"),
        ("[[noreturn]] void f() { for (;;); }", "[[noreturn]] void f();"),
        ("auto f() -> int { return 1; }", "auto f() -> int;"),
        ("void f() noexcept {}", "void f() noexcept;"),
        ("int &f(int a[][2], const char *const b, ...) {}", "int &f(int a[][2], const char *const b, ...);"),
        ("unsigned /* { ( */ long // ;\nf(int a, // one\n  int b)\n{\n}", "unsigned long f(int a, int b);"),
        ('extern "C" void f() {}', 'extern "C" void f();'),
        ('extern "C" {\nvoid f() {}\n}', 'extern "C" void f();'),
        ("a::T f(a::T<1, 2> t) { return t; }", "a::T f(a::T<1, 2> t);"),
    ],
)
def test_all_forms_of_functions(tmp_path: Path, definition: str, declaration: str) -> None:
    assert declared(tmp_path, "void setup() { f(); }\n" + definition + "\n") == [declaration]


@pytest.mark.parametrize(
    "user",
    [
        "ISR(TIMER2_OVF_vect) { f(); }",
        "struct K { void m() { f(); } };",
        "class B : public A {\n public:\n  B() : n{0} { attach(f); }\n};",
        "template <class T> T twice(T x) { f(); return x; }",
        "namespace n { void a() { f(); } }",
        "void (*table[])() = {f};",
        "struct Step { void (*run)(); } steps[] = {{f}};",
        "auto g = []() { f(); };",
        "Timer timer(f);",
    ],
)
def test_all_places_that_call_one(tmp_path: Path, user: str) -> None:
    assert declared(tmp_path, f"int n;\n{user}\nvoid f() {{}}\n") == ["void f();"]
    lines = as_cpp((tmp_path / "some.ino",)).splitlines()
    assert lines[lines.index("void f();") + 2] == user.splitlines()[0]


def test_a_macro_that_calls_one(tmp_path: Path) -> None:
    assert declared(tmp_path, "#define GO f()\nvoid setup() { GO; }\nvoid f() {}\n") == ["void f();"]


def test_overloads(tmp_path: Path) -> None:
    text = "void f(int x) {}\nvoid setup() { f(1); f(n); }\nvoid f(const char *s) {}\n"
    assert declared(tmp_path, text) == ["void f(const char *s);"]


def test_default_arguments_move_to_the_declaration(tmp_path: Path) -> None:
    text = 'void setup() { f(); }\nvoid f(int a = g(1, 2), const char *b = "=,)") { a = 1; }\n'
    path = write(tmp_path, some_ino=text) / "some.ino"
    lines = as_cpp((path,)).splitlines()
    assert lines[2] == 'void f(int a = g(1, 2), const char *b = "=,)");'
    assert lines[5].split() == "void f(int a , const char *b ) { a = 1; }".split()
    assert len(lines[5]) == len(text.splitlines()[1]), "columns stay"


def test_types_are_known_where_a_declaration_needs_them(tmp_path: Path) -> None:
    text = "class K { void m() { f(*this); } };\nvoid f(K &k) {}\n"
    assert declared(tmp_path, text) == ["class K;", "void f(K &k);"]
    text = "struct Led { void on(); };\nenum Speed { SLOW };\nvoid setup() { on(SLOW); }\nvoid on(Speed s) {}\n"
    assert declared(tmp_path, text) == ["void on(Speed s);"]
    text = "struct K { void m() { f(); } };\ntypedef struct { int x; } P;\nP f() { return P(); }\nvoid g() {}\n"
    assert declared(tmp_path, text) == []


def test_conditions(tmp_path: Path) -> None:
    text = (
        "#if A\nvoid setup() { f(); }\n#else\nvoid setup() { if (1) { g(); }\n#endif\n}\n"
        "#ifdef ESP32\nvoid f(WiFiEvent_t e) {}\n#elif B\nvoid f() {}\n#endif\nvoid g() {}\n"
    )
    path = write(tmp_path, some_ino=text) / "some.ino"
    made = as_cpp((path,))
    assert "#ifdef ESP32\nvoid f(WiFiEvent_t e);\n#endif\n#ifdef ESP32\n#elif B\nvoid f();\n#endif\n#line 2" in made
    assert "#else\nvoid g();\n#line 4" in made


def test_in_the_same_branch_no_condition_is_needed(tmp_path: Path) -> None:
    text = "#if A\nvoid setup() { f(); }\nvoid f() {}\n#else\nvoid f() {}\n#endif\n"
    assert declared(tmp_path, text) == ["void f();"]


def test_what_is_declared_already_is_not_declared_again(tmp_path: Path) -> None:
    assert declared(tmp_path, "void f(int);\nvoid setup() { f(1); }\nvoid f(int x) {}\n") == []


def test_several_files_are_one_text(tmp_path: Path) -> None:
    write(tmp_path, one_ino="void setup() { f(); }", two_ino="int y;\nvoid f() { g(); }\nvoid g() {}\n")
    text = as_cpp((tmp_path / "one.ino", tmp_path / "two.ino"))
    assert text == (
        f'#include <Arduino.h>\n#line 1 "{tmp_path}/one.ino"\nvoid f();\n#line 1 "{tmp_path}/one.ino"\n'
        f'void setup() {{ f(); }}\n#line 1 "{tmp_path}/two.ino"\nint y;\n'
        f'void g();\n#line 2 "{tmp_path}/two.ino"\nvoid f() {{ g(); }}\nvoid g() {{}}\n\n'
    )


def test_lines_are_counted_from_where_the_declarations_stand(tmp_path: Path) -> None:
    write(tmp_path, one_ino="// first\nint a;\n\nvoid setup() { f(); }\nvoid f() {}\n")
    text = as_cpp((tmp_path / "one.ino",))
    assert f'void f();\n#line 4 "{tmp_path}/one.ino"\nvoid setup()' in text


def test_names_that_need_care(tmp_path: Path) -> None:
    path = tmp_path / 'a "b" \\ c.ino'
    path.write_text("\ufeffvoid setup() {}\r\n", encoding="utf-8")
    assert as_cpp((path,)).splitlines()[1:] == [
        f'#line 1 "{tmp_path}/a \\"b\\" \\\\ c.ino"',
        "void setup() {}",
        "",
    ]
