"""The same asyncio.Protocol on uvloop's event loop."""

from __future__ import annotations

import asyncio

import uvloop

from leadscomm.cli.benchkit.child import child_main

from .asyncio import AsyncioPeer


class UvloopPeer(AsyncioPeer):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop


if __name__ == "__main__":
    child_main(UvloopPeer)
