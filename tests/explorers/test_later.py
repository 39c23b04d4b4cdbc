import asyncio
import threading
from functools import partial

from workbook.explorers.later import Later


def test_without_an_event_loop_it_is_done_at_once():
    shown = []
    Later(60)(lambda: 3, shown.append)
    assert shown == [3]


def test_of_several_calls_the_last_is_made_once_they_rest_and_in_a_thread():
    made, shown = [], []

    def work(number):
        made.append((number, threading.current_thread() is threading.main_thread()))
        return number

    async def calls():
        later = Later(0.02)
        for number in range(3):
            later(partial(work, number), shown.append)
        assert not made
        await asyncio.sleep(0.2)

    asyncio.run(calls())
    assert made == [(2, False)]
    assert shown == [2]


def test_what_is_overtaken_while_it_is_made_is_not_shown():
    shown, first = [], threading.Event()

    async def calls():
        later = Later(0)
        later(lambda: first.wait(5) and "old", shown.append)
        await asyncio.sleep(0.05)
        later(lambda: "new", shown.append)
        await asyncio.sleep(0.05)
        first.set()
        await asyncio.sleep(0.1)

    asyncio.run(calls())
    assert shown == ["new"]
