"""Requests to stop: collected where work can stop without a loss, and raised elsewhere."""

import os
import signal
import threading

import pytest

from joyful_hf.io import signals
from joyful_hf.io.signals import Stopped, collected_stops, describe_stop, raised_stops

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", BOTH)
def test_a_request_is_kept_until_somebody_looks(number):
    before = [signal.getsignal(each) for each in BOTH]
    with collected_stops() as request:
        assert request.number is None
        os.kill(os.getpid(), number)
        assert request.number == number
    assert [signal.getsignal(each) for each in BOTH] == before


def test_a_second_request_stops_at_once_and_an_echo_of_the_first_does_not(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    with collected_stops() as request:
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += 0.5
        os.kill(os.getpid(), signal.SIGTERM)  # of the launcher, to which the terminal has sent it too
        assert request.number == signal.SIGINT
        now[0] += 1
        with pytest.raises(Stopped, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_raised_as_ctrl_c_is():
    with pytest.raises(KeyboardInterrupt) as stopped, raised_stops():
        os.kill(os.getpid(), signal.SIGTERM)
    assert describe_stop(stopped.value) == (signal.SIGTERM, "stopped by SIGTERM")
    assert describe_stop(KeyboardInterrupt()) == (signal.SIGINT, "interrupted")


def test_a_worker_is_ended_as_it_would_be_without():
    with collected_stops():
        if not (pid := os.fork()):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM


def test_another_thread_than_the_main_one_changes_nothing():
    found = []

    def collect():
        with collected_stops() as request:
            found.append((request.number, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=collect)
    thread.start()
    thread.join()
    assert found == [(None, signal.getsignal(signal.SIGTERM))]
