"""A headless browser, and an app that it looks at."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
SCREENSHOTS = REPOSITORY / "test-screenshots"

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def open_browser() -> Generator:
    """Chromium with nothing of any earlier run; closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))  # makes a profile of its own
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def run_app(script: Path, *arguments: str, folder: Path) -> Generator[str, None, None]:
    """A Gradio app as its user starts it; gives its address.

    Args:
        folder: where it keeps what is uploaded.
    """
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "GRADIO_TEMP_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    log = folder / "app.log"
    with log.open("w") as errors:
        command = [sys.executable, str(script), *arguments]
        app = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert app.stdout is not None
    try:
        said = []
        for line in app.stdout:
            said.append(line)
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield address.group()
                break
        else:
            raise AssertionError(f"the app has not started: {''.join(said)}{log.read_text()}")
    finally:
        app.terminate()
        app.communicate(timeout=30)
