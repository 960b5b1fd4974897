"""Take the pictures of the studio for the docs with a real browser: `make docs` runs this.

python docs/make_screenshots.py
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

IMG = Path(__file__).parent / "img"
WIDE, PHONE = {"width": 1280, "height": 780}, {"width": 390, "height": 844}
SHOTS = (
    ("studio", WIDE, "light", "draw", "sheep"),
    ("studio_dark", WIDE, "dark", "play", "river"),
    ("studio_phone", PHONE, "light", "draw", "circle"),
)
"""Name, size, colours, mode, and the example that is drawn or played."""
INTO = 1_700
"""Milliseconds into the tune."""


def take(browser: Any, address: str, name: str, size: Any, scheme: str, mode: str, example: str) -> Path:
    """One picture, while it plays."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.click(f"#tab-{mode}")
    page.click(f".examples button[aria-label={example}], .examples button:text-is('{example}')")
    page.wait_for_selector("#play[aria-label=Stop]")
    page.wait_for_timeout(INTO)
    page.screenshot(path=IMG / f"{name}.png")
    page.close()
    return IMG / f"{name}.png"


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium on this machine: the pictures stay as they are")
        return
    command = [sys.executable, "-m", "kikibouba", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        try:
            for shot in SHOTS:
                print(take(browser, found[0], *shot))
        finally:
            browser.close()
            server.terminate()


if __name__ == "__main__":
    main()
