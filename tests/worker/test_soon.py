"""What was asked for often is done once, and soon."""

import asyncio

from runner.worker.soon import Soon


def test_it_is_done_once_in_the_next_turn() -> None:
    """Not before; and again if it is asked for again."""
    done: list[int] = []

    async def play() -> None:
        soon = Soon(asyncio.get_running_loop(), lambda: done.append(1))
        for times in (1, 2):
            soon()
            soon()
            assert len(done) == times - 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(done) == times

    asyncio.run(play())


def test_who_asks_for_it_while_it_is_done_gets_it_in_the_turn_after() -> None:
    """Nothing that ends meanwhile is overlooked."""
    done: list[int] = []

    async def play() -> None:
        def callback() -> None:
            done.append(1)
            if len(done) < 3:
                soon()

        soon = Soon(asyncio.get_running_loop(), callback)
        soon()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(done) == 3

    asyncio.run(play())
