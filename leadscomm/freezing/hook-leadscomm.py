# ruff: noqa: N999 (PyInstaller wants this name)
"""Read by PyInstaller where a program imports leadscomm: what no import statement leads to.

That is the Arduino library and the firmware, the sources of virtual boards, and the handlers that pyserial finds by the
scheme of a URL.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

from leadscomm.hardware.firmware.places import arduino_folder

datas = [
    *collect_data_files("leadscomm", excludes=["arduino"]),
    (str(arduino_folder()), "leadscomm/arduino"),
]
hiddenimports = ["serial.rfc2217", *collect_submodules("serial.urlhandler")]
