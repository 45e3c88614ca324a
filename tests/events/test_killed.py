"""A worker is killed at every step of handing out and delivering: nothing is lost, and the order stays."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from events.working import happen, shop

CHILD = Path(__file__).parent / "killed_child.py"
MOST_STEPS = 100


def test_killed_at_every_step(tmp_path: Path) -> None:
    """One store outlives all of it: each worker goes on where the one before was killed."""
    store, log = f"sqlite:///{tmp_path / 'gateway.db'}", tmp_path / "log"
    log.touch()
    told = ("created a", "paid a", "created b")
    subjects: dict[int, str] = {}
    command = [sys.executable, str(CHILD), store, str(log)]
    with (
        shop(store=store) as worker,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        for step in range(MOST_STEPS):
            subjects |= {number: one[-1] for number, one in zip(happen(worker, *told), told, strict=True)}
            child.stdin.write(f"{step}\n")
            child.stdin.flush()
            end = child.stdout.readline().strip()
            assert end in ("killed", "ended")
            if end == "ended":
                break
        child.stdin.close()
        assert end == "ended"
        assert step > 10
        assert [event.id for event in worker.gw.events.latest(1)] == [max(subjects)]
    expected: dict[str, list[int]] = defaultdict(list)
    for number, subject in subjects.items():
        expected[subject].append(number)
    seen: dict[str, list[int]] = defaultdict(list)
    repeated = 0
    for number in map(int, log.read_text().split()):
        before = seen[subjects[number]]
        if number in before:
            assert before[-1] == number, "only the last one can have been delivered and not recorded"
            repeated += 1
        else:
            before.append(number)
    assert seen == expected, "each one, in order"
    assert repeated > 0
