"""The attackers, in a process of their own that may give way to every other: python -m tests.hostile.generator

Takes orders as lines of JSON, one after the other: prepares what they need, says `ready`, and begins at the next line.
It ends once every lane has had its rounds. If `endless`, it prints `attacking` once more requests have ended than there
are attacks, continues until the next line, and then prints each attack's tally.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from tests.hostile.attack import Attack, Attacker, Scale, Send
from tests.hostile.catalogue import ATTACKS
from tests.hostile.wire import CUT, Access, Tally

_REFUSED_S = 0.05
"""The pause of a lane whose connection was refused or cut: else it would be a flood of connections, which is another
attack."""
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Orders:
    """The attacks to make, where, and how large."""

    access: Access
    names: Sequence[str]
    scale: Scale
    endless: bool

    @classmethod
    def of(cls, line: str) -> "Orders":
        """The orders that a line of JSON holds."""
        document = json.loads(line)
        return cls(Access(**document["access"]), document["names"], Scale(**document["scale"]), document["endless"])

    def line(self) -> str:
        """The line of JSON that holds them."""
        return json.dumps(asdict(self)) + "\n"


def tallies_of(text: str) -> dict[str, Tally]:
    """The tallies that a generator has printed."""
    document: dict[str, Any] = json.loads(text)
    return {name: Tally(**one) for name, one in document.items()}


async def _lane(attack: Attack, attacker: Attacker, rounds: int | None) -> None:
    """Make an attack again and again, so often or for ever."""
    while rounds is None or rounds > 0:
        try:
            await attack.send(attacker)
        except (OSError, EOFError, TimeoutError):
            attacker.tally.ended(CUT)
            await asyncio.sleep(_REFUSED_S)  # the pace of the attacker
        if rounds is not None:
            rounds -= 1


async def _prepared(orders: Orders) -> dict[str, Attacker]:
    """An attacker for each attack, with what it needs; what several need is made once."""
    attackers, found = {}, dict[Send, str]()
    for name in orders.names:
        attacker, prepare = Attacker(orders.access, orders.scale), ATTACKS[name].prepare
        if prepare not in found:
            await prepare(attacker)
            found[prepare] = attacker.found
        attackers[name] = Attacker(orders.access, orders.scale, found=found[prepare])
    return attackers


async def _attack(orders: Orders) -> dict[str, Attacker]:
    niceness = max(orders.scale.niceness, os.getpriority(os.PRIO_PROCESS, 0))  # only root may lower it
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    attackers = await _prepared(orders)
    print("ready", flush=True)
    await _next_line()
    rounds = None if orders.endless else orders.scale.rounds
    lanes = [
        asyncio.create_task(_lane(ATTACKS[name], attacker, rounds))
        for name, attacker in attackers.items()
        for _ in range(ATTACKS[name].lanes)
    ]
    if orders.endless:
        while sum(attacker.tally.requests for attacker in attackers.values()) <= len(attackers):
            for lane in lanes:
                if lane.done():
                    lane.result()  # none ends by itself, but by an error
            await asyncio.sleep(_LOOK_S)  # the lanes count, and tell nobody
        print("attacking", flush=True)
        await _next_line()
        for lane in lanes:
            lane.cancel()
    for lane in lanes:
        with suppress(asyncio.CancelledError):
            await lane
    return attackers


async def _next_line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


async def _obey() -> None:
    """Make the attacks that the input orders, until it ends."""
    while line := await _next_line():
        attackers = await _attack(Orders.of(line))
        print(json.dumps({name: asdict(attacker.tally) for name, attacker in attackers.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_obey())
